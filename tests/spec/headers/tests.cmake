# The public headers, as a user's compiler meets them: the same in a sanitizer's build.

if(HOLDFAST_SANITIZE)
    return()
endif()
add_test(NAME spec.xa_h
    COMMAND "${CMAKE_CURRENT_LIST_DIR}/xa_h.sh" "${CMAKE_C_COMPILER}" "${PROJECT_SOURCE_DIR}")
add_test(NAME spec.headers
    COMMAND "${CMAKE_CURRENT_LIST_DIR}/alone.sh" "${CMAKE_C_COMPILER}" "${CMAKE_CXX_COMPILER}"
        ${hf_public_bases} "${PROJECT_SOURCE_DIR}/tm/tx/include")
set_tests_properties(spec.xa_h spec.headers PROPERTIES LABELS spec TIMEOUT ${hf_test_timeout})
