# The real Redis, to compare with: the full server inside Debian's redis-check-rdb, started under its own name.

# Starts one on a free port without any file of its own; `options` as on its command line. Returns the port.
proc start_redis {{options {}}} {
    set port [free_port]
    set base [file join $harness::directory redis-$port]
    set pid [process::start [list bash -c {exec -a redis-server redis-check-rdb "$@"} bash --port $port --save "" \
        --bind 127.0.0.1 --daemonize no {*}$options] $harness::directory $base.log $base.err]
    wait_for_condition "redis-server answers" 10000 {[redis_answers $port $pid]}
    return $port
}

proc redis_answers {port pid} {
    if {![process::runs $pid]} { error "redis-server ended: [read_file [file join $harness::directory redis-$port.log]]" }
    set connection [resp::open $port]
    set answer [ask $connection PING]
    resp::close $connection
    return [expr {$answer eq "PONG" || [string match "-NOAUTH*" $answer]}]
}
