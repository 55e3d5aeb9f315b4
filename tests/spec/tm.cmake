# The transaction manager as its headers promise it, against four scripted resource managers.
foreach(subject IN ITEMS
        commit async rollback heuristic owed thread watch failed_log recovery calls input open
        suspend deadline many history decide dynamic)
    hf_test(spec tm_${subject} tm_${subject}.c support/fake_rm.c)
endforeach()

# The state tables of [XA] chapter 6, from one table of data; 6-3 is tm_dynamic.
hf_test(spec xa_tables xa_tables.c support/fake_rm.c)
