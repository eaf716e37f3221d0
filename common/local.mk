noinst_HEADERS += %D%/counters.h %D%/sockmap.h %D%/statpage.h
