# A client that writes and remembers what it was told: load.tcl OUT PREFIX DEPTH RATE_MAX HOST:PORT...
# Sets keys PREFIX:0, PREFIX:1, ... each to its own number, and increments PREFIX:count, `DEPTH` requests in
# flight, at most RATE_MAX requests a second. When its server refuses or dies it goes to the next one. It ends when its
# stdin ends or says stop, and first waits for the replies that are due.
#
# Each line of OUT is what became of one request: "a N" acknowledged, "r N" refused (the reply says it did not
# happen), "u N" unknown (sent, and then the connection was lost, or the reply says perhaps). For increments
# the same with i: "ai", "ri", "ui". A number is used for one request only, so nothing is ever sent twice.
# "t MS" notes each time without an acknowledgement of more than 100 ms; "longest US" at the end the longest one.

source [file join [file dirname [info script]] resp.tcl]

lassign $argv out_path prefix depth rate_max
set targets [lrange $argv 4 end]
set out [open $out_path w]
chan configure $out -buffering full -buffersize 65536
set next 0
set stopping 0
set target 0
set connection ""
set flight {}        ;# Requests sent and not answered: {kind number}.
set last_acknowledged [clock microseconds]
set longest 0        ;# Microseconds between two acknowledgements.
set started [clock milliseconds]
set refused_in_row 0

chan configure stdin -blocking 0
chan event stdin readable {
    read stdin
    set stopping 1
    if {[eof stdin]} { chan event stdin readable {} }
}

proc record {kind number} { puts $::out "$kind $number" }

# The connection is of no use any more: whatever is in flight is unknown.
proc lose_connection {} {
    foreach request $::flight { record u[lindex $request 0] [lindex $request 1] }
    set ::flight {}
    if {$::connection ne ""} { resp::close $::connection }
    set ::connection ""
    set ::target [expr {($::target + 1) % [llength $::targets]}]
    flush $::out
}

proc connect_next {} {
    lassign [split [lindex $::targets $::target] :] host port
    if {[catch {resp::open $port $host} ::connection]} {
        set ::connection ""
        set ::target [expr {($::target + 1) % [llength $::targets]}]
        wait_a_little 5
    }
}

proc wait_a_little {milliseconds} {
    after $milliseconds {set ::rested 1}
    vwait ::rested
}

proc fill_pipeline {} {
    set allowed [expr {([clock milliseconds] - $::started) * $::rate_max / 1000 + $::depth - $::next}]
    set bytes ""
    while {[llength $::flight] < $::depth && $allowed > 0} {
        set number $::next
        incr ::next
        incr allowed -1
        if {$number % 8 == 7} {
            append bytes [resp::encode [list INCR $::prefix:count]]
            lappend ::flight [list i $number]
        } else {
            append bytes [resp::encode [list SET $::prefix:$number $number]]
            lappend ::flight [list {} $number]
        }
    }
    if {$bytes ne ""} { resp::write $::connection $bytes }
}

# False if the server turned out to be of no use.
proc take_reply {} {
    lassign [resp::reply $::connection 6000] type value
    lassign [lindex $::flight 0] kind number
    set ::flight [lrange $::flight 1 end]
    if {$type ne "error"} {
        record a$kind $number
        set now [clock microseconds]
        set gap [expr {$now - $::last_acknowledged}]
        if {$gap > 100000} { puts $::out "t [expr {$gap / 1000}]" }
        if {$gap > $::longest} { set ::longest $gap }
        set ::last_acknowledged $now
        set ::refused_in_row 0
        return 1
    }
    record [expr {[string match "UNKNOWN*" $value] ? "u" : "r"}]$kind $number
    if {![regexp {^(not leader|CLUSTERDOWN|LOADING|UNKNOWN|MISCONF|MOVED)} $value]} { puts $::out "! $value" }
    return 0
}

proc drain_refusals {} {
    while {[llength $::flight]} { take_reply }
}

while {!$stopping} {
    if {$connection eq ""} {
        connect_next
        continue
    }
    if {[catch {
        fill_pipeline
        set served 1
        if {![llength $flight]} {
            wait_a_little 1
        } else {
            set served [take_reply]
            while {$served && [llength $flight] && [resp::reply_waits $connection 0]} { set served [take_reply] }
        }
        if {!$served} { drain_refusals }
    } message]} {
        lose_connection
    } elseif {!$served} {
        lose_connection
        wait_a_little 5
    }
    if {$next % 64 == 0} { flush $out }
    update
}
if {$connection ne ""} { catch { drain_refusals } }
lose_connection
puts $out "longest $longest"
puts $out "end $next"
close $out
