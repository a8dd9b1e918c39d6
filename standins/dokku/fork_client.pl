# Hands a command to the fork server, with our stdin, stdout and stderr: `fork_client.pl FOLDER SOCKET
# SENDMSG WORD…`, where SENDMSG is the number of that system call. Perl starts in a tenth of Python's time,
# if nothing is loaded: so the structures of sendmsg(2), unix(7) and cmsg(3) are written out here.
use strict;

my ($folder, $name, $sendmsg, @words) = @ARGV;
chdir $folder or die "$folder: $!";    # a socket's name must be short
socket(my $server, 1, 1, 0) or die "socket: $!";    # AF_UNIX, SOCK_STREAM
connect($server, pack 'Sa108', 1, $name) or die "connect: $!";

my $data = join "\0", $$, scalar @words, @words, map { "$_=$ENV{$_}" } keys %ENV;
my $size = pack 'Q>', length $data;
my $vector = pack 'PQ', $size, length $size;
my $control = pack 'QiiiiiI', 28, 1, 1, 0, 1, 2, 0;    # SOL_SOCKET, SCM_RIGHTS, descriptors
my $message = pack 'QQPQPQQ', 0, 0, $vector, 1, $control, length $control, 0;
syscall($sendmsg + 0, fileno $server, $message, 0) == length $size or die "sendmsg: $!";
for (my $sent = 0; $sent < length $data;) {
    $sent += syswrite($server, $data, length($data) - $sent, $sent) // die "write: $!";
}

my $status = '';
1 while length $status < 4 and sysread $server, $status, 4, length $status;
$status = length $status == 4 ? unpack 'N', $status : 0xff00;    # it was killed
kill $status & 127, $$ if $status & 127;
exit($status >> 8 || $status);    # not 0 for a signal that we ignore
