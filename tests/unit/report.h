/* What a unit test says to tests/run.py beside cmocka's words: report.c prints it at the end of the program. */
#ifndef TESTS_UNIT_REPORT_H
#define TESTS_UNIT_REPORT_H

/* Behind the assertions that show them; cmocka leaves a test at the first that fails. docs/add-a-check.md */
void proves(const char *ids);
/* Between the two, `cases` are drawn and each compared with another judge: its assertions are not counted as checks. */
void drawn_begin(void);
void drawn_end(unsigned long long cases);

#endif
