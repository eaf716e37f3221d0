noinst_HEADERS += %D%/counters.h %D%/statpage.h
