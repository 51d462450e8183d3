#!/usr/bin/perl
# Hello from Perl: choose the status by hand.
#
# A script that names no Status answers 200 (RFC 3875 6.3.3). /cgi-bin/hello.pl/teapot shows the
# other way: the gateway turns the Status field into the first line of the response.

use strict;
use warnings;

if (($ENV{PATH_INFO} // '') eq '/teapot') {
    print "Status: 418 I'm a teapot\n";
}
print "Content-Type: text/plain; charset=utf-8\n\n";
print "Hello from Perl $^V!\n";
