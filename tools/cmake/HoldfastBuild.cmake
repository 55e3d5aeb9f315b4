# HoldfastBuild.cmake - hf_build: how every file of this tree is compiled.
#
# An interface target and no global flags. In this tree both libraries carry it along, so whatever
# links one of them is compiled like it. A project that adds Holdfast by add_subdirectory(), or
# finds it installed, keeps flags of its own.

include(CheckCCompilerFlag)
include(CheckLinkerFlag)
include(CheckPIESupported)

add_library(hf_build INTERFACE)
target_compile_features(hf_build INTERFACE c_std_17)

set(hf_c_warnings
    -Wall -Wextra -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wformat=2
    -Wundef -Wwrite-strings)
target_compile_options(hf_build INTERFACE "$<$<COMPILE_LANGUAGE:C>:${hf_c_warnings}>")

# Assertions stay on in every build: CMake's RelWithDebInfo would take them out of the tests, too.
target_compile_options(hf_build INTERFACE -UNDEBUG)

# fallocate(), pipe2() and the like. Empty, as a file that asks for it by itself defines it.
target_compile_definitions(hf_build INTERFACE _GNU_SOURCE=)

if(HOLDFAST_FAULTS)
    target_compile_definitions(hf_build INTERFACE HF_FAULTS)
    message(STATUS "Holdfast: fault build, with failpoints and planted bugs; not for production")
endif()

if(HOLDFAST_SANITIZE)
    set(hf_sanitize "-fsanitize=${HOLDFAST_SANITIZE}" -fno-sanitize-recover=all)
    target_compile_options(hf_build INTERFACE ${hf_sanitize} -fno-omit-frame-pointer)
    target_link_options(hf_build INTERFACE ${hf_sanitize})
endif()

# The OpenSSF guide's flags, each where the compiler takes it. Left out: -z nodlopen, because an
# embedder may well load us with dlopen(), as language bindings do.
function(hf_harden)
    foreach(flag IN ITEMS
            -fstack-protector-strong -fstack-clash-protection -fcf-protection=full
            -ftrivial-auto-var-init=zero -fno-delete-null-pointer-checks -fno-strict-overflow
            -fno-strict-aliasing -Wtrampolines -Wimplicit-fallthrough)
        string(MAKE_C_IDENTIFIER "HOLDFAST_HAS${flag}" has)
        check_c_compiler_flag(${flag} ${has})
        if(${has})
            target_compile_options(hf_build INTERFACE ${flag})
        endif()
    endforeach()
    target_compile_options(hf_build INTERFACE -U_FORTIFY_SOURCE -D_FORTIFY_SOURCE=3)

    foreach(flag IN ITEMS noexecstack relro now)
        check_linker_flag(C "-Wl,-z,${flag}" HOLDFAST_HAS_Z_${flag})
        if(HOLDFAST_HAS_Z_${flag})
            target_link_options(hf_build INTERFACE "-Wl,-z,${flag}")
        endif()
    endforeach()
endfunction()

if(HOLDFAST_HARDENING)
    hf_harden()
endif()

# Programs are position independent; so are the objects, which go into a shared library.
check_pie_supported(LANGUAGES C)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)

set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS ON)
