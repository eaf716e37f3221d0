# SPDX-License-Identifier: Apache-2.0
# cmocka tests of the engine's pure parts against naive models. They run in sanitizer builds too. Everything that the
# engine has for itself (page of counters, messages) is a double in unit.c; its records can be made to run out.
if HAVE_CMOCKA
unit_tests = %D%/unit-segmap %D%/unit-policy %D%/unit-vm %D%/unit-block %D%/unit-meta %D%/unit-config \
  %D%/unit-ns-model %D%/unit-ns-procs %D%/unit-ns-rules %D%/unit-ns-locks %D%/unit-ns-cache %D%/unit-ns-watch %D%/unit-ns-crash %D%/unit-ns-power %D%/unit-ns-fault \
  %D%/unit-fc-file %D%/unit-fc-names %D%/unit-fc-procs %D%/unit-fc-owners %D%/unit-fc-model \
  %D%/unit-fc-crash %D%/unit-fc-check %D%/unit-fc-fault %D%/unit-fsc-kernel %D%/unit-fc-heap \
  %D%/unit-ck-model %D%/unit-ck-sum %D%/unit-ck-fault %D%/unit-ck-crash %D%/unit-ck-power %D%/unit-ck-names %D%/unit-ck-rules
check_PROGRAMS += $(unit_tests)
UNIT_TESTS += $(unit_tests)
unit_cflags = $(AM_CFLAGS) $(CMOCKA_CFLAGS)
unit_wrap = -Wl,--wrap=meta_alloc -Wl,--wrap=meta_free -Wl,--wrap=meta_map
unit_common = %D%/unit.h %D%/unit.c %D%/wrap.c

%C%_unit_segmap_SOURCES = $(unit_common) %D%/segmap.c libzio/segmap.c libzio/block.c libzio/vm.c libzio/meta.c
%C%_unit_segmap_CFLAGS = $(unit_cflags)
%C%_unit_segmap_LDFLAGS = $(unit_wrap)
%C%_unit_segmap_LDADD = $(CMOCKA_LIBS)

%C%_unit_block_SOURCES = $(unit_common) %D%/block.c libzio/block.c libzio/vm.c libzio/meta.c
%C%_unit_block_CFLAGS = $(unit_cflags)
%C%_unit_block_LDFLAGS = $(unit_wrap)
%C%_unit_block_LDADD = $(CMOCKA_LIBS)

%C%_unit_vm_SOURCES = $(unit_common) %D%/vm.c libzio/vm.c libzio/meta.c
%C%_unit_vm_CFLAGS = $(unit_cflags)
%C%_unit_vm_LDFLAGS = $(unit_wrap)
%C%_unit_vm_LDADD = $(CMOCKA_LIBS)

%C%_unit_policy_SOURCES = %D%/unit.h %D%/unit.c %D%/policy.c libzio/policy.c
%C%_unit_policy_CFLAGS = $(unit_cflags)
%C%_unit_policy_LDADD = $(CMOCKA_LIBS)

%C%_unit_meta_SOURCES = %D%/unit.h %D%/unit.c %D%/meta.c libzio/meta.c
%C%_unit_meta_CFLAGS = $(unit_cflags)
%C%_unit_meta_LDADD = $(CMOCKA_LIBS)

%C%_unit_config_SOURCES = %D%/unit.h %D%/unit.c %D%/config.c libzio/config.c
%C%_unit_config_CFLAGS = $(unit_cflags)
%C%_unit_config_LDADD = $(CMOCKA_LIBS)

# The namespace engine (meta/).
ns_common = %D%/unit.h %D%/unit.c %D%/ns.h %D%/ns.c
ns_libs = meta/libzmeta.la $(SQLITE_LIBS) $(CMOCKA_LIBS)
%C%_unit_ns_model_SOURCES = $(ns_common) %D%/ns_model.h %D%/ns_model.c %D%/ns_model_data.c
%C%_unit_ns_model_CFLAGS = $(unit_cflags)
%C%_unit_ns_model_LDADD = $(ns_libs)

%C%_unit_ns_procs_SOURCES = $(ns_common) %D%/ns_procs.c
%C%_unit_ns_procs_CFLAGS = $(unit_cflags)
%C%_unit_ns_procs_LDADD = $(ns_libs)

%C%_unit_ns_crash_SOURCES = $(ns_common) %D%/ns_crash.c
%C%_unit_ns_crash_CFLAGS = $(unit_cflags)
%C%_unit_ns_crash_LDADD = $(ns_libs)

%C%_unit_ns_power_SOURCES = $(ns_common) %D%/ns_power.c
%C%_unit_ns_power_CFLAGS = $(unit_cflags)
%C%_unit_ns_power_LDFLAGS = -Wl,--wrap=fsync
%C%_unit_ns_power_LDADD = $(ns_libs)

%C%_unit_ns_fault_SOURCES = $(ns_common) %D%/ns_fault.c
%C%_unit_ns_fault_CFLAGS = $(unit_cflags) $(SQLITE_CFLAGS)
%C%_unit_ns_fault_LDFLAGS = -Wl,--wrap=malloc -Wl,--wrap=calloc -Wl,--wrap=realloc -Wl,--wrap=fsync -Wl,--wrap=msync
%C%_unit_ns_fault_LDADD = $(ns_libs)

%C%_unit_ns_cache_SOURCES = $(ns_common) %D%/ns_cache.c
%C%_unit_ns_cache_CFLAGS = $(unit_cflags)
%C%_unit_ns_cache_LDADD = $(ns_libs)
%C%_unit_ns_watch_SOURCES = $(ns_common) %D%/ns_watch.c
%C%_unit_ns_watch_CFLAGS = $(unit_cflags)
%C%_unit_ns_watch_LDADD = $(ns_libs)

%C%_unit_ns_locks_SOURCES = $(ns_common) %D%/ns_locks.c
%C%_unit_ns_locks_CFLAGS = $(unit_cflags)
%C%_unit_ns_locks_LDADD = $(ns_libs)

%C%_unit_ns_rules_SOURCES = $(ns_common) %D%/ns_rules.c
%C%_unit_ns_rules_CFLAGS = $(unit_cflags) $(SQLITE_CFLAGS)
%C%_unit_ns_rules_LDADD = $(ns_libs)

# The client library (fsclient/), on the embedded driver.
fc_common = %D%/unit.h %D%/unit.c %D%/fc.h %D%/fc.c
fc_libs = $(FSCLIENT_LIBS) $(CMOCKA_LIBS)
%C%_unit_fc_file_SOURCES = $(fc_common) %D%/fc_file.c
%C%_unit_fc_file_CFLAGS = $(unit_cflags)
%C%_unit_fc_file_LDADD = $(fc_libs)
%C%_unit_fc_names_SOURCES = $(fc_common) %D%/fc_names.c
%C%_unit_fc_names_CFLAGS = $(unit_cflags)
%C%_unit_fc_names_LDADD = $(fc_libs)
%C%_unit_fc_procs_SOURCES = $(fc_common) %D%/fc_procs.c
%C%_unit_fc_procs_CFLAGS = $(unit_cflags)
%C%_unit_fc_procs_LDADD = $(fc_libs)
%C%_unit_fc_owners_SOURCES = $(fc_common) %D%/fc_owners.c
%C%_unit_fc_owners_CFLAGS = $(unit_cflags)
%C%_unit_fc_owners_LDADD = $(fc_libs)
# The client library: the kernel's view of files.
%C%_unit_fsc_kernel_SOURCES = %D%/unit.h %D%/unit.c %D%/fsc_kernel.c
%C%_unit_fsc_kernel_CFLAGS = $(unit_cflags)
%C%_unit_fsc_kernel_LDADD = $(FSCLIENT_LIBS) $(CMOCKA_LIBS)
%C%_unit_fc_heap_SOURCES = %D%/unit.h %D%/unit.c %D%/fc_heap.c fsclient/heap.c
%C%_unit_fc_heap_CFLAGS = $(unit_cflags) -pthread
%C%_unit_fc_heap_LDADD = $(CMOCKA_LIBS)
# The chunk engine (chunk/).
ck_common = %D%/unit.h %D%/unit.c %D%/ck.h %D%/ck.c
ck_libs = chunk/libzchunk.la $(CMOCKA_LIBS)
%C%_unit_ck_model_SOURCES = $(ck_common) %D%/ck_model.c
%C%_unit_ck_model_CFLAGS = $(unit_cflags) -pthread
%C%_unit_ck_model_LDADD = $(ck_libs)

%C%_unit_ck_sum_SOURCES = $(ck_common) %D%/ck_sum.c
%C%_unit_ck_sum_CFLAGS = $(unit_cflags) -pthread
%C%_unit_ck_sum_LDADD = $(ck_libs)

%C%_unit_ck_crash_SOURCES = $(ck_common) %D%/ck_crash.c
%C%_unit_ck_crash_CFLAGS = $(unit_cflags) -pthread
%C%_unit_ck_crash_LDADD = $(ck_libs)

%C%_unit_ck_names_SOURCES = %D%/unit.h %D%/unit.c %D%/ck_names.c
%C%_unit_ck_names_CFLAGS = $(unit_cflags)
%C%_unit_ck_names_LDADD = $(ck_libs)

%C%_unit_ck_power_SOURCES = $(ck_common) %D%/ck_power.c
%C%_unit_ck_power_CFLAGS = $(unit_cflags) -pthread
%C%_unit_ck_power_LDADD = $(ck_libs)

%C%_unit_ck_rules_SOURCES = $(ck_common) %D%/ck_rules.c
%C%_unit_ck_rules_CFLAGS = $(unit_cflags) -pthread
%C%_unit_ck_rules_LDADD = $(ck_libs)

%C%_unit_ck_fault_SOURCES = $(ck_common) %D%/ck_fault.c
%C%_unit_ck_fault_CFLAGS = $(unit_cflags) -pthread
%C%_unit_ck_fault_LDFLAGS = -Wl,--wrap=malloc -Wl,--wrap=calloc -Wl,--wrap=aligned_alloc
%C%_unit_ck_fault_LDADD = $(ck_libs)
%C%_unit_fc_model_SOURCES = $(fc_common) %D%/fc_model.c
%C%_unit_fc_model_CFLAGS = $(unit_cflags)
%C%_unit_fc_model_LDADD = $(fc_libs)
%C%_unit_fc_crash_SOURCES = $(fc_common) %D%/fc_crash.c
%C%_unit_fc_crash_CFLAGS = $(unit_cflags)
%C%_unit_fc_crash_LDADD = $(fc_libs)
%C%_unit_fc_check_SOURCES = $(fc_common) %D%/fc_check.c
%C%_unit_fc_check_CFLAGS = $(unit_cflags) $(SQLITE_CFLAGS)
%C%_unit_fc_check_LDADD = $(fc_libs)
%C%_unit_fc_fault_SOURCES = $(fc_common) %D%/fc_fault.c
%C%_unit_fc_fault_CFLAGS = $(unit_cflags) $(SQLITE_CFLAGS)
%C%_unit_fc_fault_LDADD = $(fc_libs)
endif
