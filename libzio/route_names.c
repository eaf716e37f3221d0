// SPDX-License-Identifier: Apache-2.0
// See route_names.h. Within a group the names are in the order of the alphabet.
#include "libzio/route_names.h"

// clang-format off
const struct route_names route_names[] = {
    {ROUTE_HOOKED, "",
     "_Exit _Fork _IO_fdopen _IO_fopen __clone __close __connect __dprintf_chk __dup2 __fcntl "
     "__fgetws_chk __fgetws_unlocked_chk __fwprintf_chk __fxstat __fxstat64 __fxstatat __fxstatat64 "
     "__getcwd_chk __getwd_chk __isoc99_fwscanf __isoc99_vfwscanf __isoc99_vwscanf __isoc99_wscanf "
     "__lseek __lxstat __lxstat64 __madvise __memcpy_chk __memmove_chk __mempcpy __mempcpy_chk "
     "__mktemp __mmap __mprotect __munmap __open __open64 __open64_2 __open_2 __openat64_2 __openat_2 "
     "__pread64 __pread64_chk __pread_chk __pwrite64 __read __read_chk __readlink_chk __readlinkat_chk "
     "__realpath_chk __recv __recv_chk __recvfrom_chk __send __sendmmsg __setmntent __sigaction "
     "__statfs __sysv_signal __vdprintf_chk __vfork __vfwprintf_chk __vwprintf_chk __wprintf_chk "
     "__write __xmknod __xmknodat __xstat __xstat64 _exit accept accept4 access acct aio_cancel "
     "aio_cancel64 aio_fsync aio_fsync64 aio_read aio_read64 aio_write aio_write64 aligned_alloc bcopy "
     "bind brk bsd_signal calloc canonicalize_file_name chdir chmod chown chroot clone close "
     "close_range closedir closefrom connect copy_file_range creat creat64 daemon dirfd dlopen dprintf "
     "dup dup2 dup3 eaccess euidaccess execl execle execlp execv execve execveat execvp execvpe "
     "faccessat fallocate fallocate64 fanotify_mark fchdir fchmod fchmodat fchown fchownat fcntl "
     "fcntl64 fdatasync fdopen fdopendir fexecve fgetwc fgetwc_unlocked fgetws fgetws_unlocked "
     "fgetxattr flistxattr flock fopen fopen64 forkpty fpathconf fputwc fputwc_unlocked fputws "
     "fputws_unlocked free fremovexattr freopen freopen64 fsetxattr fstat fstat64 fstatat fstatat64 "
     "fstatfs fstatfs64 fstatvfs fstatvfs64 fsync ftok ftruncate ftruncate64 fts64_children "
     "fts64_close fts64_open fts64_read fts64_set fts_children fts_close fts_open fts_read fts_set ftw "
     "ftw64 futimens futimes futimesat fwide fwprintf fwscanf get_current_dir_name getcwd getdents64 "
     "getdirentries getdirentries64 getpeername getsockname getwc getwc_unlocked getwchar "
     "getwchar_unlocked getwd getxattr glob glob64 initgroups inotify_add_watch ioctl lchmod lchown "
     "lgetxattr link linkat lio_listio lio_listio64 listxattr llistxattr llseek lockf lockf64 "
     "login_tty lremovexattr lseek lseek64 lsetxattr lstat lstat64 lutimes madvise malloc "
     "malloc_usable_size memalign memcpy memmove mempcpy mkdir mkdirat mkdtemp mkfifo mkfifoat mknod "
     "mknodat mkostemp mkostemp64 mkostemps mkostemps64 mkstemp mkstemp64 mkstemps mkstemps64 mktemp "
     "mlock mlock2 mlockall mmap mmap64 mount mprotect mremap msync munmap name_to_handle_at nftw "
     "nftw64 open open64 open_by_handle_at openat openat64 opendir pathconf pclose perror "
     "pkey_mprotect popen posix_fadvise posix_fadvise64 posix_fallocate posix_fallocate64 "
     "posix_memalign posix_spawn posix_spawnp pread pread64 preadv preadv2 preadv64 preadv64v2 prlimit "
     "prlimit64 pthread_cancel pthread_setcanceltype putwc putwc_unlocked putwchar putwchar_unlocked "
     "pvalloc pwrite pwrite64 pwritev pwritev2 pwritev64 pwritev64v2 read readahead readdir readdir64 "
     "readdir64_r readdir_r readlink readlinkat readv realloc reallocarray realpath recv recvfrom "
     "recvmmsg recvmsg remap_file_pages remove removexattr rename renameat renameat2 rewinddir rmdir "
     "sbrk scandir scandir64 scandirat scandirat64 seekdir send sendfile sendfile64 sendmmsg sendmsg "
     "sendto setegid seteuid setfsgid setfsuid setgid setgroups setmntent setns setregid setresgid "
     "setresuid setreuid setrlimit setrlimit64 setsockopt setuid setxattr sigaction signal sigset "
     "splice ssignal stat stat64 statfs statfs64 statvfs statvfs64 statx swapon symlink symlinkat sync "
     "sync_file_range syncfs syscall system sysv_signal tee telldir tempnam truncate truncate64 umask "
     "umount umount2 ungetwc unlink unlinkat unshare utime utimensat utimes valloc vdprintf vfork "
     "vfwprintf vfwscanf vmsplice vwprintf vwscanf wordexp wprintf write writev wscanf"},
    {ROUTE_COVERED,
     "a stream over a routed descriptor is one of ours, whose bytes go through read, write, lseek "
     "and close (hooks_fs_stdio.h)",
     "_IO_fclose _IO_feof _IO_ferror _IO_fflush _IO_fgetpos _IO_fgetpos64 _IO_fgets _IO_flockfile "
     "_IO_flush_all _IO_flush_all_linebuffered _IO_fprintf _IO_fputs _IO_fread _IO_fsetpos "
     "_IO_fsetpos64 _IO_ftell _IO_ftrylockfile _IO_funlockfile _IO_fwrite _IO_getc _IO_gets _IO_padn "
     "_IO_peekc_locked _IO_printf _IO_putc _IO_puts _IO_seekoff _IO_seekpos _IO_setbuffer "
     "_IO_setvbuf _IO_sgetn _IO_ungetc _IO_vfprintf _IO_vfscanf __endmntent __fbufsize __fgets_chk "
     "__fgets_unlocked_chk __flbf __fpending __fprintf_chk __fpurge __fread_chk __fread_unlocked_chk "
     "__freadable __freading __fsetlocking __fwritable __fwriting __getdelim __getmntent_r "
     "__gets_chk __isoc99_fscanf __isoc99_scanf __isoc99_vfscanf __isoc99_vscanf __overflow "
     "__printf_chk __uflow __underflow __vfprintf_chk __vfscanf __vprintf_chk _flushlbf addmntent "
     "argp_error argp_failure argp_help argp_parse argp_state_help argp_usage clearerr "
     "clearerr_unlocked endmntent err error error_at_line errx fclose fcloseall feof feof_unlocked "
     "ferror ferror_unlocked fflush fflush_unlocked fgetc fgetc_unlocked fgetgrent fgetgrent_r "
     "fgetpos fgetpos64 fgetpwent fgetpwent_r fgets fgets_unlocked fgetsgent fgetsgent_r fgetspent "
     "fgetspent_r fileno fileno_unlocked flockfile fmtmsg fprintf fputc fputc_unlocked fputs "
     "fputs_unlocked fread fread_unlocked fscanf fseek fseeko fseeko64 fsetpos fsetpos64 ftell "
     "ftello ftello64 ftrylockfile funlockfile fwrite fwrite_unlocked getc getc_unlocked getchar "
     "getchar_unlocked getdelim getline getmntent getmntent_r gets getw hasmntopt herror malloc_info "
     "malloc_stats printf psiginfo psignal putc putc_unlocked putchar putchar_unlocked putgrent "
     "putpwent puts putsgent putspent putw rewind scanf setbuf setbuffer setlinebuf setvbuf ungetc "
     "verr verrx vfprintf vfscanf vprintf vscanf vwarn vwarnx warn warnx xdrstdio_create"},
    {ROUTE_COVERED,
     "it runs the handlers of pthread_atfork, which are ours (init.c)",
     "__fork fork"},
    {ROUTE_COVERED,
     "at the end it flushes every stream, ours among them",
     "exit quick_exit"},
    {ROUTE_COVERED,
     "request and result are in struct aiocb: what was routed is finished when it is asked for "
     "(hooks_fs_misc_aio.c)",
     "aio_error aio_error64 aio_return aio_return64 aio_suspend aio_suspend64"},
    {ROUTE_COVERED,
     "they take a list that glob, wordexp, scandir or fts made",
     "alphasort alphasort64 glob_pattern_p globfree globfree64 versionsort versionsort64 wordfree"},
    {ROUTE_NATIVE,
     "the token is a regular file: always ready for poll and select, refused by epoll (EPERM), as "
     "any file on a disk",
     "__poll __poll_chk __ppoll_chk __select epoll_create epoll_create1 epoll_ctl epoll_pwait "
     "epoll_pwait2 epoll_wait poll ppoll pselect select"},
    {ROUTE_NATIVE,
     "the token is no terminal (ENOTTY), as any file on a disk",
     "__ptsname_r_chk __ttyname_r_chk getpt grantpt gtty isastream isatty openpty posix_openpt "
     "ptsname ptsname_r stty tcdrain tcflow tcflush tcgetattr tcgetpgrp tcgetsid tcsendbreak "
     "tcsetattr tcsetpgrp ttyname ttyname_r unlockpt"},
    {ROUTE_NATIVE,
     "sockets only: the token is none (ENOTSOCK), as any file on a disk",
     "__socket bindresvport getsockopt iruserok iruserok_af "
     "isfdtype listen rcmd rcmd_af rexec rexec_af rresvport rresvport_af ruserok ruserok_af shutdown "
     "sockatmark socket socketpair"},
    {ROUTE_NATIVE,
     "it makes a descriptor that has no path in a volume",
     "__mq_open_2 __pipe eventfd fanotify_init inotify_init inotify_init1 memfd_create mq_open "
     "pidfd_getfd pidfd_open pipe pipe2 sem_open shm_open signalfd timerfd_create"},
    {ROUTE_NATIVE,
     "descriptors of these kinds are never routed",
     "eventfd_read eventfd_write inotify_rm_watch mq_close mq_getattr mq_notify mq_receive mq_send "
     "mq_setattr mq_timedreceive mq_timedsend mq_unlink pidfd_send_signal sem_close sem_unlink "
     "shm_unlink timerfd_gettime timerfd_settime"},
    {ROUTE_NATIVE,
     "the stream is in memory",
     "fmemopen fopencookie open_memstream open_wmemstream"},
    {ROUTE_NATIVE,
     "the file has no name: it lies where the C library puts it, outside of every volume",
     "tmpfile tmpfile64 tmpnam tmpnam_r"},
    {ROUTE_NATIVE,
     "it looks at memory, which is the engine's matter: its pages are filled by the kernel's fault",
     "mincore munlock munlockall posix_madvise process_madvise process_vm_readv process_vm_writev"},
    {ROUTE_NATIVE,
     "GLIBC_PRIVATE: for the C library's other files alone",
     "__close_nocancel __fseeko64 __fstat64 __ftello64 __open_nocancel __read_nocancel "
     "__write_nocancel"},
    {ROUTE_NATIVE,
     "streams from inside, for libraries that were built against glibc before 2.1",
     "_IO_do_write _IO_file_attach _IO_file_close _IO_file_close_it _IO_file_doallocate "
     "_IO_file_finish _IO_file_fopen _IO_file_init _IO_file_open _IO_file_overflow _IO_file_read "
     "_IO_file_seek _IO_file_seekoff _IO_file_setbuf _IO_file_stat _IO_file_sync _IO_file_underflow "
     "_IO_file_write _IO_file_xsputn _IO_popen _IO_proc_close _IO_proc_open _IO_wdo_write "
     "_IO_wfile_overflow _IO_wfile_seekoff _IO_wfile_sync _IO_wfile_underflow _IO_wfile_xsputn"},
    {ROUTE_NATIVE,
     "a stream of ours has no wide buffer: nothing calls them for it",
     "__woverflow __wuflow __wunderflow"},
    {ROUTE_NATIVE,
     "it reads or writes files of the system's (accounts, logins, message catalogs, locales, the "
     "resolver's), whose paths are fixed",
     "__syslog_chk __vsyslog_chk bindtextdomain catclose catgets catopen closelog cuserid endfsent "
     "endttyent endusershell endutent endutxent get_nprocs get_nprocs_conf getdate getdate_r "
     "getfsent getfsfile getfsspec gethostid getloadavg getlogin getlogin_r getpass getttyent "
     "getttynam getusershell getutent getutent_r getutid getutid_r getutline getutline_r getutxent "
     "getutxid getutxline iconv_open lckpwdf login logout logwtmp openlog pututline pututxline "
     "setfsent sethostid setttyent setusershell setutent setutxent syslog ttyslot ulckpwdf updwtmp "
     "updwtmpx utmpname utmpxname vsyslog"},
    {ROUTE_NATIVE,
     "the kernel's tree of mounts, for root: a routed path is not in it (ENOENT)",
     "fsconfig fsmount fsopen fspick mount_setattr move_mount nfsservctl open_tree pivot_root "
     "quotactl uselib ustat vhangup"},
    {ROUTE_NATIVE,
     "not implemented by Linux (ENOSYS)",
     "bdflush chflags create_module fattach fchflags fdetach get_kernel_syms getmsg getpmsg putmsg "
     "putpmsg query_module revoke"},
    {ROUTE_NATIVE,
     "it stops a swap file, which a routed file can't be",
     "swapoff"},
    {ROUTE_NATIVE,
     "it writes by number from inside: a routed descriptor gets EBADF",
     "__backtrace_symbols_fd backtrace_symbols_fd"},
    {ROUTE_NATIVE,
     "the handle of an object that is loaded: see dlopen",
     "dl_iterate_phdr dladdr dladdr1 dlclose dlerror dlinfo dlsym dlvsym"},
    {ROUTE_NATIVE,
     "into a namespace of its own, which zIO is not in",
     "dlmopen"},
};
// clang-format on
const size_t route_names_count = sizeof(route_names) / sizeof(route_names[0]);
