# The holder as its header and the semantics of COM+ promise it, against a scripted driver.
foreach(subject IN ITEMS seed checklist checklist2 threads races tx pool life input stuck close xa)
    hf_test(spec holder_${subject} holder_${subject}.c support/fake_driver.c support/fake_rm.c)
endforeach()
hf_test(spec holder_crowd holder_crowd.c)
