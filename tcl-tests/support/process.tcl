# Processes that a test starts: each is known by its pid, its end is noticed when it happens, and none
# outlives the test. Refuses to know what the processes are.
#
# A process keeps a third file open to us; its end of file is the process's end. With setpriv (util-linux)
# the kernel also kills it when we die. Pids go into $process::pid_file, so that the runner can end what a
# killed worker left behind.

namespace eval process {
    variable change 0
    variable pid_file ""
    variable scratch ""      ;# A directory for the files of run.
    variable runs_made 0
    variable patience 1      ;# How many times as long an end is waited for.
    variable status     ;# By pid: "" while it runs, then "exit N" or "signal SIGNAME".
    variable ended_ms
    variable channel
    variable out
    variable err
    variable guard {}
    if {[auto_execok setpriv] ne ""} { set guard {setpriv --pdeathsig KILL --} }
}

# Starts `command` in `directory`, its output appended to the files out and err; returns the pid.
proc process::start {command directory out_path err_path} {
    variable status; variable ended_ms; variable channel; variable out; variable err; variable guard
    set script {exec 3>&1 >>"$1" 2>>"$2" </dev/null; cd "$0" || exit 127; shift 2; exec "$@"}
    set opened [open [list | sh -c $script $directory $out_path $err_path {*}$guard {*}$command] r]
    set pid [pid $opened]
    set channel($pid) $opened
    set status($pid) ""
    set ended_ms($pid) 0
    set out($pid) $out_path
    set err($pid) $err_path
    remember $pid
    chan configure $opened -blocking 0
    chan event $opened readable [list process::check_end $pid]
    return $pid
}

# The kernel's start time tells a pid from its next owner.
proc process::start_time {pid} {
    if {[catch {open /proc/$pid/stat r} file]} { return "" }
    set line [read $file]
    close $file
    return [lindex [string range $line [string last ")" $line]+2 end] 19]
}

proc process::remember {pid} {
    variable pid_file
    if {$pid_file eq ""} return
    set file [open $pid_file a]
    set start [start_time $pid]
    puts $file "$pid [expr {$start eq {} ? {-} : $start}]"
    close $file
}

proc process::check_end {pid} {
    variable status; variable channel; variable ended_ms; variable change
    chan read $channel($pid)
    if {![chan eof $channel($pid)]} return
    set ended_ms($pid) [clock milliseconds]
    chan configure $channel($pid) -blocking 1
    set status($pid) "exit 0"
    if {[catch {chan close $channel($pid)} message options]} {
        set code [dict get $options -errorcode]
        switch -- [lindex $code 0] {
            CHILDSTATUS { set status($pid) "exit [lindex $code 2]" }
            CHILDKILLED { set status($pid) "signal [lindex $code 2]" }
            default { set status($pid) "exit ? ($message)" }
        }
    }
    unset channel($pid)
    incr change
}

proc process::runs {pid} {
    variable status
    return [expr {$status($pid) eq ""}]
}

# Sends the signal to all pids by one call.
proc process::signal {name args} {
    catch {exec sh -c "kill -$name $args" 2>@1}
}

# Waits for the end and returns the status; fails if the process still runs after the time.
proc process::wait_end {pid timeout_ms} {
    variable status; variable patience
    set timeout_ms [expr {$timeout_ms * $patience}]
    set timer [after $timeout_ms {incr process::change}]
    set deadline [expr {[clock milliseconds] + $timeout_ms}]
    while {$status($pid) eq "" && [clock milliseconds] < $deadline} { vwait process::change }
    after cancel $timer
    if {$status($pid) eq ""} { error "process $pid still runs after $timeout_ms ms" }
    return $status($pid)
}

# Ends all that still runs.
proc process::end_all {} {
    variable status
    set running [lmap pid [array names status] { if {$status($pid) ne ""} continue; set pid }]
    if {[llength $running]} { signal KILL {*}$running }
    foreach pid $running { wait_end $pid 10000 }
}

proc process::forget_all {} {
    variable status; variable ended_ms; variable out; variable err
    foreach name {status ended_ms out err} { array unset $name }
}

# Runs a command to its end; returns {status stdout stderr}. `input` goes to its stdin.
proc process::run {command {timeout_ms 10000} {directory .} {input ""}} {
    variable scratch
    variable runs_made
    set base [file join $scratch "run[incr runs_made]"]
    set file [open $base.in wb]
    puts -nonewline $file $input
    close $file
    set pid [start [list sh -c {in=$1; shift; exec "$@" <"$in"} sh $base.in {*}$command] $directory $base.out $base.err]
    set result [wait_end $pid $timeout_ms]
    return [list $result [read_file $base.out] [read_file $base.err]]
}

proc read_file {path} {
    if {[catch {open $path rb} file]} { return "" }
    set bytes [read $file]
    close $file
    return $bytes
}

proc write_file {path text} {
    set file [open $path wb]
    puts -nonewline $file $text
    close $file
}
