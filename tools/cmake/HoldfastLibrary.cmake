# HoldfastLibrary.cmake - libholdfast from the objects of its rooms, and its installation.

set(hf_public_bases "${PROJECT_SOURCE_DIR}/tm/include" "${PROJECT_SOURCE_DIR}/holder/include"
    "${PROJECT_SOURCE_DIR}/rm/kv/include")
set(hf_public_headers
    tm/include/xa.h
    tm/include/holdfast/base.h
    tm/include/holdfast/inspect.h
    tm/include/holdfast/tm.h
    tm/include/holdfast/transaction.h
    holder/include/holdfast/holder.h
    rm/kv/include/holdfast/kv.h)
list(TRANSFORM hf_public_headers PREPEND "${PROJECT_SOURCE_DIR}/")

if(PROJECT_IS_TOP_LEVEL)
    set(hf_build_scope PUBLIC)
else()
    set(hf_build_scope PRIVATE)
endif()

add_library(holdfast SHARED)
add_library(holdfast_static STATIC)
foreach(library IN ITEMS holdfast holdfast_static)
    target_sources(${library} PRIVATE
        $<TARGET_OBJECTS:hf_tm_objects> $<TARGET_OBJECTS:hf_holder_objects>
        $<TARGET_OBJECTS:hf_kv_objects>)
    target_link_libraries(${library}
        ${hf_build_scope} $<BUILD_INTERFACE:hf_build>
        PRIVATE LMDB::LMDB Threads::Threads)
    target_sources(${library} PUBLIC
        FILE_SET HEADERS BASE_DIRS ${hf_public_bases} FILES ${hf_public_headers})
endforeach()
add_library(holdfast::holdfast ALIAS holdfast)

# What is not in the map stays inside. The shared library names everything that it needs.
set(hf_map "${PROJECT_SOURCE_DIR}/tools/cmake/holdfast.map")
set_target_properties(holdfast PROPERTIES
    VERSION ${PROJECT_VERSION}
    SOVERSION ${PROJECT_VERSION_MAJOR}
    LINK_DEPENDS "${hf_map}"
    VERIFY_INTERFACE_HEADER_SETS ON)
target_link_options(holdfast PRIVATE "-Wl,--version-script=${hf_map}" -Wl,-z,defs)

include(CMakePackageConfigHelpers)
set(hf_package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/holdfast")
write_basic_package_version_file("${PROJECT_BINARY_DIR}/holdfast-config-version.cmake"
    COMPATIBILITY SameMinorVersion)

# Found from where the file lies, so that an installed tree can be moved.
set(hf_pc_dir "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
file(RELATIVE_PATH hf_pc_prefix "/prefix/${hf_pc_dir}" "/prefix")
configure_file(tools/cmake/holdfast.pc.in holdfast.pc @ONLY)

install(TARGETS holdfast EXPORT holdfast-config
    LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
    FILE_SET HEADERS DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(FILES tm/include/holdfast/errors.def
    DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/holdfast)
install(EXPORT holdfast-config NAMESPACE holdfast:: DESTINATION ${hf_package_dir})
install(FILES "${PROJECT_BINARY_DIR}/holdfast-config-version.cmake"
    DESTINATION ${hf_package_dir})
install(FILES "${PROJECT_BINARY_DIR}/holdfast.pc"
    DESTINATION ${hf_pc_dir})
