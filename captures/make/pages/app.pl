# `perl app.pl mojolicious|dancer|plack|cgi PORT debug|production`
use strict;
use warnings;

my ($framework, $port, $mode) = @ARGV;
my $debug = $mode eq "debug";
@ARGV = ();

sub total { my ($cart) = @_; die "no rates in the cart" unless $cart->{rates}; return $cart->{rates} }
sub boom { return total({ lines => 3 }) }

if ($framework eq "mojolicious") {
    $ENV{MOJO_MODE} = $debug ? "development" : "production";
    require Mojolicious::Lite;
    Mojolicious::Lite->import;
    main->can("get")->("/boom" => sub { shift->render(text => boom()) });
    main->can("app")->()->log->level("fatal");
    main->can("app")->()->start("daemon", "-l", "http://127.0.0.1:$port");
} elsif ($framework eq "dancer") {
    $ENV{DANCER_ENVIRONMENT} = $debug ? "development" : "production";
    require Dancer2;
    Dancer2->import;
    main->can("set")->(show_errors => $debug, show_stacktrace => $debug, port => $port, host => "127.0.0.1", logger => "null", startup_info => 0);
    main->can("get")->("/boom" => sub { boom() });
    main->can("start")->();
} else {
    require Plack::Runner;
    require Plack::Middleware::StackTrace;
    my $app = sub { return [200, ["Content-Type" => "text/plain"], [boom()]] };
    my $safe = sub { my $answer = eval { $app->(@_) }; return $answer || [500, ["Content-Type" => "text/plain"], ["Internal Server Error"]] };
    my $runner = Plack::Runner->new(env => "deployment");
    $runner->parse_options("--host", "127.0.0.1", "--port", $port, "--access-log", "/dev/null");
    $runner->run($debug ? Plack::Middleware::StackTrace->wrap($app) : $safe);
}
