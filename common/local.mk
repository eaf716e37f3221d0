noinst_HEADERS += %D%/counters.h %D%/forkgate.h %D%/sockmap.h %D%/statpage.h
