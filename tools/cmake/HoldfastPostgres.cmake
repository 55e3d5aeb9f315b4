# HoldfastPostgres.cmake - libholdfast-postgres, where libpq is, and its installation.
#
# HOLDFAST_POSTGRES: AUTO builds it if pkg-config finds libpq, ON demands that, OFF leaves it out. A
# build without it needs nothing of PostgreSQL, and libholdfast is the same either way.

set(HOLDFAST_POSTGRES AUTO CACHE STRING "Build libholdfast-postgres: AUTO, ON or OFF")

if(HOLDFAST_POSTGRES)
    find_package(PkgConfig QUIET)
    if(PkgConfig_FOUND)
        pkg_check_modules(libpq QUIET IMPORTED_TARGET "libpq >= 14") # its pipeline
    endif()
    if(NOT libpq_FOUND AND NOT HOLDFAST_POSTGRES STREQUAL "AUTO")
        message(FATAL_ERROR "HOLDFAST_POSTGRES is ${HOLDFAST_POSTGRES}, and there is no libpq")
    endif()
endif()
if(NOT HOLDFAST_POSTGRES OR NOT libpq_FOUND)
    message(STATUS "Holdfast: without PostgreSQL")
    return()
endif()

add_subdirectory("${PROJECT_SOURCE_DIR}/rm/postgres" rm/postgres)

add_library(holdfast_postgres SHARED)
add_library(holdfast_postgres_static STATIC)
foreach(library IN ITEMS holdfast_postgres holdfast_postgres_static)
    target_sources(${library} PRIVATE $<TARGET_OBJECTS:hf_postgres_objects>)
    target_link_libraries(${library}
        ${hf_build_scope} $<BUILD_INTERFACE:hf_build>
        PRIVATE PkgConfig::libpq Threads::Threads)
    target_sources(${library} PUBLIC FILE_SET HEADERS
        BASE_DIRS "${PROJECT_SOURCE_DIR}/rm/postgres/include"
        FILES "${PROJECT_SOURCE_DIR}/rm/postgres/include/holdfast/postgres.h")
endforeach()
target_link_libraries(holdfast_postgres INTERFACE holdfast)
if(HOLDFAST_FAULTS) # libholdfast shows nothing of its own table of them
    target_sources(holdfast_postgres PRIVATE "${PROJECT_SOURCE_DIR}/tm/fault.c")
    target_link_libraries(holdfast_postgres PRIVATE $<BUILD_INTERFACE:hf_tm_public>)
endif()
target_link_libraries(holdfast_postgres_static INTERFACE holdfast_static)
add_library(holdfast::holdfast_postgres ALIAS holdfast_postgres)

set(hf_postgres_map "${PROJECT_SOURCE_DIR}/tools/cmake/holdfast-postgres.map")
set_target_properties(holdfast_postgres PROPERTIES
    OUTPUT_NAME holdfast-postgres
    VERSION ${PROJECT_VERSION}
    SOVERSION ${PROJECT_VERSION_MAJOR}
    LINK_DEPENDS "${hf_postgres_map}"
    VERIFY_INTERFACE_HEADER_SETS ON)
target_link_options(holdfast_postgres
    PRIVATE "-Wl,--version-script=${hf_postgres_map}" -Wl,-z,defs)

set(hf_postgres_package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/holdfast-postgres")
write_basic_package_version_file("${PROJECT_BINARY_DIR}/holdfast-postgres-config-version.cmake"
    COMPATIBILITY SameMinorVersion)
configure_file(tools/cmake/holdfast-postgres.pc.in holdfast-postgres.pc @ONLY)
configure_file(tools/cmake/holdfast-postgres-config.cmake.in holdfast-postgres-config.cmake @ONLY)

install(TARGETS holdfast_postgres EXPORT holdfast-postgres-targets
    LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
    FILE_SET HEADERS DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(EXPORT holdfast-postgres-targets NAMESPACE holdfast::
    DESTINATION ${hf_postgres_package_dir})
install(FILES "${PROJECT_BINARY_DIR}/holdfast-postgres-config-version.cmake"
        "${PROJECT_BINARY_DIR}/holdfast-postgres-config.cmake"
    DESTINATION ${hf_postgres_package_dir})
install(FILES "${PROJECT_BINARY_DIR}/holdfast-postgres.pc"
    DESTINATION ${hf_pc_dir})
