# HoldfastRoom.cmake - one room of the house: hf_room().
#
#   hf_room(NAME USES target...)
#
# called from the room's CMakeLists.txt, makes
#
#   hf_NAME_public    interface: the room's include/ directory, and the public headers it stands on
#   hf_NAME_objects   every .c file of the room; sees the room itself and what it USES, nothing else
#
# The sources of a room are the .c files in its directory, by a glob that each build checks again: a
# file that lies in a room is in the library. With a list by hand a forgotten file is a hole that
# nobody sees until something is not linked; a stray one is seen by whoever reviews the change.
function(hf_room name)
    cmake_parse_arguments(PARSE_ARGV 1 room "" "" "USES;LIBRARIES")

    add_library(hf_${name}_public INTERFACE)
    target_include_directories(hf_${name}_public INTERFACE "${CMAKE_CURRENT_SOURCE_DIR}/include")
    target_link_libraries(hf_${name}_public INTERFACE ${room_USES})

    file(GLOB sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/*.c")
    if(NOT sources)
        message(FATAL_ERROR "the room ${CMAKE_CURRENT_SOURCE_DIR} has no source file")
    endif()
    add_library(hf_${name}_objects OBJECT ${sources})
    target_include_directories(hf_${name}_objects PRIVATE "${CMAKE_CURRENT_SOURCE_DIR}")
    target_link_libraries(hf_${name}_objects
        PUBLIC hf_${name}_public
        PRIVATE hf_build Threads::Threads ${room_LIBRARIES})
endfunction()
