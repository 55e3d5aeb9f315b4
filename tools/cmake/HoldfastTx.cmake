# HoldfastTx.cmake - libholdfast-tx, from the room tm/tx, and its installation.
#
#   holdfast-tx          shared; installed, as holdfast::holdfast-tx
#   holdfast-tx_static   the same objects with nothing hidden, for this tree's tests

set(hf_tx_headers tm/tx/include/tx.h tm/tx/include/holdfast/config.h)
list(TRANSFORM hf_tx_headers PREPEND "${PROJECT_SOURCE_DIR}/")

add_library(holdfast-tx SHARED)
add_library(holdfast-tx_static STATIC)
foreach(library IN ITEMS holdfast-tx holdfast-tx_static)
    target_sources(${library} PRIVATE $<TARGET_OBJECTS:hf_tx_objects>)
    target_link_libraries(${library}
        ${hf_build_scope} $<BUILD_INTERFACE:hf_build>
        PRIVATE inih::inih Threads::Threads ${CMAKE_DL_LIBS})
    target_sources(${library} PUBLIC
        FILE_SET HEADERS BASE_DIRS "${PROJECT_SOURCE_DIR}/tm/tx/include" FILES ${hf_tx_headers})
endforeach()
target_link_libraries(holdfast-tx PUBLIC holdfast)
target_link_libraries(holdfast-tx_static PUBLIC holdfast_static)
add_library(holdfast::holdfast-tx ALIAS holdfast-tx)

set(hf_tx_map "${PROJECT_SOURCE_DIR}/tools/cmake/holdfast-tx.map")
set_target_properties(holdfast-tx PROPERTIES
    VERSION ${PROJECT_VERSION}
    SOVERSION ${PROJECT_VERSION_MAJOR}
    LINK_DEPENDS "${hf_tx_map}"
    INSTALL_RPATH "$ORIGIN" # libholdfast is installed beside it
    VERIFY_INTERFACE_HEADER_SETS ON)
target_link_options(holdfast-tx PRIVATE "-Wl,--version-script=${hf_tx_map}" -Wl,-z,defs)

configure_file(tools/cmake/holdfast-tx.pc.in holdfast-tx.pc @ONLY)
install(TARGETS holdfast-tx EXPORT holdfast-config
    LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
    FILE_SET HEADERS DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES "${PROJECT_BINARY_DIR}/holdfast-tx.pc" DESTINATION ${hf_pc_dir})
