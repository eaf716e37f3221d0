#!/usr/bin/perl
# SPDX-License-Identifier: Apache-2.0
# What perl does with files; it has its own buffered I/O over read and write. Run in an empty directory, which is the
# argument; what it prints must be the same on a disk and on a routed volume.
use strict; use warnings; use File::Find; use File::Copy; use File::Temp qw(tempfile tempdir); use File::Path qw(make_path remove_tree); use Cwd; use Fcntl ':flock'; use File::Basename; use File::stat ();
my $root = shift; chdir $root or die; $| = 1;
sub t { my ($n, @r) = @_; print "$n: ", join(",", map { defined $_ ? $_ : "undef" } @r), "\n"; }
mkdir "a"; open(my $f, ">", "a/f") or die; print $f "line $_\n" for 1..1000; close $f;
open($f, "<", "a/f"); my @l = <$f>; t("lines", scalar @l, $l[-1]); seek($f, 5, 0); read($f, my $b, 4); t("read", $b, tell $f); close $f;
open($f, "+<", "a/f"); seek($f, 0, 2); print $f "end\n"; close $f; t("size", -s "a/f", -e "a/f", -d "a", -f "a/f", -l "a/f", -r "a/f");
open($f, ">>", "a/f"); t("append tell", tell($f)); printf $f "%05d\n", 7; close $f; t("size", -s "a/f");
symlink "f", "a/l"; link "a/f", "a/h"; t("link", readlink("a/l"), (stat "a/f")[3]);
opendir(my $d, "a"); my @e = sort readdir $d; rewinddir $d; my @e2 = readdir $d; closedir $d; t("dir", @e, scalar @e2);
t("glob", sort glob("a/*")); t("glob2", sort <*>);
rename "a/h", "g"; unlink "g"; t("nlink", (stat "a/f")[3]); chmod 0640, "a/f"; t("mode", sprintf "%o", (stat "a/f")[2]);
utime 1000000000, 1100000000, "a/f"; t("times", (stat "a/f")[8,9]); truncate "a/f", 100; t("trunc", -s "a/f");
copy("a/f", "c") or die; move("c", "m"); t("copy", -s "m"); make_path("x/y/z"); { my @found; find(sub { push @found, $File::Find::name }, "."); t("find", sort @found); }
finddepth({ wanted => sub { }, no_chdir => 1 }, "."); t("cwd", getcwd()); remove_tree("x"); t("gone", -e "x" ? 1 : 0);
my ($tf, $tn) = tempfile(DIR => "."); print $tf "t"; close $tf; t("temp", -s $tn); unlink $tn; my $td = tempdir(DIR => ".", CLEANUP => 1); t("td", -d $td ? 1 : 0);
open($f, ">", "lock"); t("flock", flock($f, LOCK_EX | LOCK_NB)); close $f;
open(my $p, "-|", "cat", "a/f"); my @pl = <$p>; close $p; t("pipe", scalar @pl); open($p, "|-", "cat > piped"); print $p "through\n"; close $p; t("piped", -s "piped");
open(my $save, ">&", \*STDOUT); open(STDOUT, ">", "redir"); print "redirected\n"; system("echo child"); open(STDOUT, ">&", $save); open($f, "<", "redir"); t("redir", map { chomp; $_ } <$f>);
t("qx", `cat a/f | wc -l`); t("die", eval { open(my $x, "<", "none") or die "$!\n"; 1 } // $@); my $s; t("sysopen", sysopen($s, "so", 0102, 0600), syswrite($s, "abc"), sysseek($s, 0, 0));
{ local @ARGV = ("a/f"); local $^I = ".bak"; while (<>) { s/line/LINE/; print } } t("inplace", -s "a/f.bak"); open($f, "<", "a/f"); t("first", scalar <$f>);
t("errno", map { mkdir($_) ? "ok" : $!+0 } ("a", "none/x", "")); rmdir "a" or t("rmdir", $!+0); t("end", sort grep { !-d || length != 10 } <*>);
if (my $pid = fork) { waitpid $pid, 0; t("child", $? >> 8); } else { open(my $o, ">", "ch"); print $o "x"; exit 5 }
