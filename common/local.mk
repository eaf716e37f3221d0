noinst_HEADERS += %D%/counters.h %D%/forkgate.h %D%/statpage.h
