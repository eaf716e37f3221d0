#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The tests of Python's standard library that touch files, their directories in the volume, as somebody whom permissions bind (Debian
# packages no tests of its sqlite3 module). The slice of it in `make check` is tests/fsprog/python.sh.
# deadline: 300

modules='test_os test_posix test_shutil test_tempfile test_mmap test_pathlib test_glob test_fileio test_file test_fcntl test_stat test_posixpath
 test_genericpath test_ntpath test_zipfile test_zipfile64 test_tarfile test_dbm test_dbm_dumb test_dbm_gnu test_dbm_ndbm
 test_subprocess test_largefile test_file_eintr test_filecmp test_fileinput test_gzip test_bz2 test_lzma test_shelve test_mailbox test_logging
 test_zipapp test_zipimport test_linecache test_compileall test_py_compile test_import test_importlib test_runpy test_cmd_line
 test_cmd_line_script test_univnewlines test_netrc test_configparser test_pkgutil test_selectors test_poll test_select test_io test_openpty
 test_pty test_signal test_fnmatch test_getpass test_popen test_sys test_site test_trace test_doctest
 test_multiprocessing_fork test_multiprocessing_spawn test_concurrent_futures test_asyncio test_faulthandler test_wave test_plistlib test_tokenize'
slice='test_fcntl test_glob test_zipfile test_dbm test_filecmp test_fileinput test_gzip test_shelve test_mailbox'

# suite WHO: regrtest makes its current directory below --tempdir.
suite() {
    local list=$slice
    [ "$WHOLE" != yes ] || list=$modules
    mkdir -p "$PWD/$1"
    # shellcheck disable=SC2086
    HOME=$PWD/$1 TMPDIR=$PWD/$1 /usr/bin/python3 -m test -j2 --timeout 300 -u largefile --tempdir "$PWD/$1" --junit-xml "$PWD/$1.xml" \
        $list >"$1.log" 2>&1 </dev/null || :
    /usr/bin/python3 "$JUNIT" "$PWD/$1.xml" >>"$RESULTS"
    grep -aE -A 25 '^(FAIL|ERROR|Fatal Python error)' "$1.log" | head -n 400
    grep -aE '^(Total|Result|Tests result)|tests? (failed|omitted|skipped)' "$1.log"
}

if [ "${1:-}" = work ]; then suite other; exit 0; fi
. "$(dirname "$0")/lib.sh"
need /usr/bin/python3 setpriv
/usr/bin/python3 -c 'import test.test_os, test.test_fcntl' 2>/dev/null ||
    skip_all "the tests of Python's standard library are missing (./quickstart --with-tests installs libpython3.11-testsuite)"
export JUNIT=$top_srcdir/tests/programs/junit_results.py
be_user 65534
roads 120 2400
finish
