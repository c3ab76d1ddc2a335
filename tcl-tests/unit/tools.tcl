# The tools that everybody uses, as they come with Debian: redis-cli and redis-benchmark start and run on any
# node that can serve them, and say nothing but what they were asked.

proc cli {node args} { return [process::run [list redis-cli -p $node::port($node) {*}$args]] }

# redis-cli as a person starts it, on a terminal of its own, which makes it ask for COMMAND DOCS.
proc interactive {node lines} {
    if {[auto_execok script] eq ""} { skip "no script(1) to make a terminal" }
    if {[lindex [process::run {script -qec true /dev/null}] 0] ne "exit 0"} { skip "no pseudo-terminals here (is /dev/pts mounted?)" }
    return [process::run [list script -qec "TERM=dumb redis-cli -p $node::port($node)" /dev/null] 10000 . [join $lines \n]\nexit\n]
}

proc assert_no_complaint {result what} {
    lassign $result status out err
    assert_equal $status "exit 0" "$what: $out $err"
    assert_equal $err "" "$what on stderr"
    if {[regexp -line {^.*(\m[Ee]rror\M|ERR |WARNING|[Cc]ould not|[Uu]nknown command).*$} $out line]} { error "$what says: $line" }
}

test "redis-cli starts on leader and followers without a complaint" {
    set nodes [start_cluster 3]
    assert_equal [cli [lindex $nodes 0] SET a b] [list "exit 0" "OK\n" ""]
    foreach node $nodes {
        assert_equal [cli $node GET a] [list "exit 0" "b\n" ""]
        set result [interactive $node {{get a} {ping} {help get}}]
        assert_no_complaint $result "redis-cli on $node"
        assert_match [lindex $result 1] "*\"b\"*PONG*"
        assert_no_complaint [process::run [list redis-cli -3 -p $node::port($node) GET a]] "redis-cli -3"
        assert_no_complaint [process::run [list redis-cli -p $node::port($node) --raw INFO]] "redis-cli INFO"
        assert_match [lindex [process::run [list redis-cli -p $node::port($node)] 10000 . "PING\nGET a\n"] 1] "PONG\nb\n"
    }
}

test "redis-benchmark runs ping, set, get and incr without a complaint" {
    set node [start_node]
    wait_for_condition "it takes writes" 5000 {[node_ask $node SET a b] eq "OK"}
    foreach options {{} {-P 16} {-3} {--threads 2}} {
        set result [process::run [list redis-benchmark -p $node::port($node) -t ping,set,get,incr -n 1000 -c 20 --csv {*}$options] 20000]
        assert_no_complaint $result "redis-benchmark $options"
        foreach name {PING_INLINE PING_MBULK SET GET INCR} { assert_match [lindex $result 1] "*\"$name\",*" }
    }
}

test "redis-benchmark reads from followers without a complaint" {
    foreach node [followers_of [start_cluster 3]] {
        assert_no_complaint [process::run [list redis-benchmark -p $node::port($node) -t ping,get -n 1000 -c 20 --csv] 20000] "redis-benchmark on $node"
    }
}
