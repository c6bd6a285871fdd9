"""Each fault, caused for real, and where.

After each of them every request has exactly one result, the canonical export is that of the undisturbed run (but for
the timeouts and crashes that are logged), nobody waits for ever, and no process is left.

==================================================  =================================================================
fault                                               test
==================================================  =================================================================
worker killed -9, SIGSEGV, abort, exit              test_workers_die: a_worker_that_dies, each_of_many_faults
exception, ``sys.exit``                             test_workers_die: each_of_many_faults; workers/test_boundary
hang                                                test_workers_die: a_hang_costs; workers/test_inline_deadlines
memory hog                                          test_workers_die: each_of_many_faults, in_the_sandbox
worker that cannot start                            test_workers_die: workers_that_cannot_start, a_start_that_fails
candidate that kills every worker                   test_workers_die: a_candidate_that_kills
evaluator that always fails                         test_workers_die: an_evaluator_that_always_fails
all of these in the sandbox                         test_workers_die: in_the_sandbox; workers/test_sandbox*
master killed -9: start, log, replay, snapshot,     test_master_dies; test_same_everywhere (at random times);
export, again and again                             supervisor/ (with somebody to start it again)
SIGTERM, SIGINT                                     supervisor/test_stopp*; cli/test_interrupt_command
two masters on one run                              test_master_dies: of_two_masters; test_bad_run_directory
disk full (SQLITE_FULL)                             test_disk_fills (a disk); test_bad_run_directory (a file's limit)
node removed and added, raylet killed, with         test_standing_cluster; cluster/ (each on its own)
workers and masters dying meanwhile
head killed                                         supervisor/, cluster/
lost, late, repeated and reordered deliveries       simulation/ (thousands of schedules on a virtual clock)
==================================================  =================================================================
"""
