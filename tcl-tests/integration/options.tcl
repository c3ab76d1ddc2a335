# Options and refusals: each refusal is one clear sentence on stderr and exit 1; nothing is touched, no port opened.

set log_line {^\d+:[A-Z] \d\d [A-Z][a-z][a-z] \d{4} \d\d:\d\d:\d\d\.\d{3} [.*#-] \S}

# Runs leto with the words and fails unless it refuses with a sentence that matches. The sentence is returned.
proc assert_refused {words pattern} {
    set before [everything_in $harness::directory]
    set sentence [refusal $words $pattern]
    assert_equal [everything_in $harness::directory] $before "files after leto $words"
    return $sentence
}

# The same without a look at the files.
proc refusal {words pattern} {
    lassign [process::run [list $node::binary {*}$words] 5000 $harness::directory] status out err
    assert_equal $status "exit 1" "leto $words: [string trim $err]"
    assert_match $err "$pattern\n" "leto $words"
    assert_equal [llength [split [string trim $err] \n]] 1 "lines of: $err"
    foreach line [split [string trim $out] \n] { assert {[regexp $::log_line $line]} "stdout has nothing but log lines: $line" }
    return [string trim $err]
}

# Name and checksum of every file below the directory, without those of the test's tools.
proc everything_in {directory} {
    set list {}
    foreach path [lsort [glob -nocomplain -directory $directory -- * .*]] {
        if {[file tail $path] in {. ..} || [regexp {^run\d+\.} [file tail $path]] || [regexp {\.(log|err)$} $path]} continue
        if {[file isdirectory $path]} {
            lappend list $path {*}[everything_in $path]
        } else {
            lappend list $path [zlib crc32 [read_file $path]]
        }
    }
    return $list
}

# Words for a node that would start if nothing else were wrong.
proc good_words {args} {
    return [list -id id1 -raftdir ./data -listen 127.0.0.1:[free_port] -raftbind 127.0.0.1:[free_port] {*}$args]
}

test "an unknown, repeated, incomplete or bad option is refused" {
    assert_refused [good_words -bogus 1] "*unknown option 'bogus'*"
    assert_refused [good_words --bogus=1] "*unknown option 'bogus'*"
    assert_refused [good_words -maxclients 10 -maxclients 20] "*maxclients*"
    assert_refused [good_words -maxclients] "*maxclients*"
    assert_refused [good_words -maxclients abc] "*'abc'*maxclients*"
    assert_refused [good_words -maxclients -5] "*'-5'*maxclients*"
    assert_refused [good_words -timeout 99999999999999999999] "*timeout*"
    assert_refused [good_words -protected-mode perhaps] "*'perhaps'*protected-mode*"
    assert_refused [good_words -loglevel loud] "*'loud'*loglevel*"
    assert_refused [list -id id1 -raftdir ./data -listen 127.0.0.1:99999] "*99999*listen*"
    assert_refused [list -id id1 -raftdir ./data -listen nowhere:x] "*nowhere:x*listen*"
    assert_refused [list -id id1 -raftdir ./data -raftbind {[::1:5}] "*raftbind*"
    assert_refused [list -id id1 -raftdir ./data -join "no port"] "*join*"
    assert_refused [list -id "a b" -raftdir ./data] "*id*"
}

test "Redis's names for what Leto calls otherwise are refused with Leto's name" {
    foreach {theirs ours} {port listen bind listen dir raftdir} {
        assert_refused [good_words --$theirs x] "*unknown option '$theirs': Leto calls it '$ours'*"
        write_file [file join $harness::directory leto.conf] "# comment\n\n$theirs x\n"
        assert_refused leto.conf "*leto.conf:3*unknown option '$theirs': Leto calls it '$ours'*"
    }
}

test "a line of leto.conf that is wrong is named by file and line" {
    foreach {text pattern} {
        "id id1\nbogus 1\n" "*leto.conf:2*unknown option 'bogus'*"
        "id id1\n\n# c\ntimeout abc\n" "*leto.conf:4*'abc'*timeout*"
        "id id1\nid id2\n" "*leto.conf:2*id*"
        "timeout\n" "*leto.conf:1*timeout*"
        "id \"unbalanced\n" "*leto.conf:1*"
        "timeout 1 2\n" "*leto.conf:1*timeout*"
    } {
        write_file [file join $harness::directory leto.conf] $text
        assert_refused leto.conf $pattern
    }
    file delete [file join $harness::directory leto.conf]
    assert_refused leto.conf "*leto.conf*"
    assert_refused {-id a stray} "*stray*"
}

test "the four forms of an option, leto.conf and options after it are one table" {
    write_file [file join $harness::directory good.conf] "id fromfile\nmaxclients 100\n timeout   7 \nloglevel 'debug'\n"
    set node [start_node]
    stop $node
    set node::command($node) [list $node::binary good.conf -raftdir $harness::directory/other --listen=127.0.0.1:$node::port($node) \
        -raftbind=127.0.0.1:$node::raft_port($node) --maxclients 200 -timeout=8]
    launch $node
    wait_serving $node
    assert_equal [call_node $node CONFIG GET maxclients] {maxclients 200}
    assert_equal [call_node $node CONFIG GET timeout] {timeout 8}
    assert_equal [call_node $node CONFIG GET loglevel] {loglevel debug}
    assert_equal [raft_field $node id] fromfile
}

test "an address may be given as :p, p, host:p and \[v6]:p" {
    foreach form {":%d" "%d" "127.0.0.1:%d" "localhost:%d"} {
        set node [start_node -nowait]
        kill9 $node
        lset node::command($node) [lsearch -exact $node::command($node) -listen]+1 [format $form $node::port($node)]
        restart $node
        assert_equal [node_ask $node PING] PONG "-listen [format $form $node::port($node)]"
        stop $node
    }
}

test "a directory that cannot be used is refused" {
    write_file [file join $harness::directory file] "text"
    assert_refused [list -id id1 -raftdir ./file -listen 127.0.0.1:[free_port] -raftbind 127.0.0.1:[free_port]] "*file*"
    assert_refused [list -id id1 -raftdir ./file/below -listen 127.0.0.1:[free_port] -raftbind 127.0.0.1:[free_port]] "*file*"
    assert_refused [list -id id1 -raftdir /proc/nowhere -listen 127.0.0.1:[free_port] -raftbind 127.0.0.1:[free_port]] "*/proc/nowhere*"
}

test "a log or a unix socket that cannot be made is refused, and no node is left behind" {
    assert_refused [good_words -logfile /nosuch/x] "logfile: cannot open '/nosuch/x': No such file or directory"
    assert_refused [good_words -unixsocket /nosuch/x] "unixsocket: '/nosuch/x' cannot be made: No such file or directory"
}

test "the data directory is made for its owner alone, and the first log line names it" {
    set node [start_node]
    assert_equal [mode_of $node::dir($node)] 700
    assert_match [lindex [split [log_of $node][errors_of $node] \n] 0] "*$node::dir($node)*"
}

test "a directory in use is refused with the process that uses it" {
    set node [start_node -id id1]
    set pid $node::pid($node)
    set files [glob -directory $node::dir($node) *]
    set lock [read_file [file join $node::dir($node) LOCK]]
    refusal [list -id id2 -raftdir $node::dir($node) -listen 127.0.0.1:[free_port] -raftbind 127.0.0.1:[free_port]] \
        "*in use by process $pid (-id id1); give this node its own -raftdir*"
    assert_equal [glob -directory $node::dir($node) *] $files
    assert_equal [read_file [file join $node::dir($node) LOCK]] $lock
    wait_for_condition "the first one takes writes" 5000 {[node_ask $node SET a b] eq "OK"}
}

test "a port in use is refused, for clients with a word on Redis" {
    set redis [start_redis]
    assert_refused [list -id id1 -raftdir ./data -listen 127.0.0.1:$redis -raftbind 127.0.0.1:[free_port]] "*$redis*Redis*"
    assert_refused [list -id id1 -raftdir ./data -listen 127.0.0.1:[free_port] -raftbind 127.0.0.1:$redis] "*$redis*"
}

test "another -id than the one kept in the directory is refused; without -id the kept one is used" {
    set node [start_node -id id1]
    call_node $node SET a b
    stop $node
    assert_refused [list -id id2 -raftdir $node::dir($node) -listen 127.0.0.1:[free_port] -raftbind 127.0.0.1:[free_port]] "*id1*"
    set at [lsearch -exact $node::command($node) -id]
    set node::command($node) [lreplace $node::command($node) $at $at+1]
    restart $node
    assert_equal [raft_field $node id] id1
    wait_for_condition "the value is there" 5000 {[node_ask $node GET a] eq "b"}
}

test "without -id a random one is made once and kept" {
    set node [start_node]
    stop $node
    set at [lsearch -exact $node::command($node) -id]
    set node::command($node) [lreplace $node::command($node) $at $at+1]
    set node::command($node) [string map [list $node::dir($node) $node::dir($node)-2] $node::command($node)]
    restart $node
    set id [raft_field $node id]
    assert {[string length $id] >= 4} "random id $id"
    stop $node
    restart $node
    assert_equal [raft_field $node id] $id
}

# CRC-32C of the bytes, by the bit: rows of table meta carry it (docs/storage.md).
proc crc32c {bytes} {
    set crc 0xffffffff
    foreach character [split $bytes ""] {
        set crc [expr {$crc ^ [scan $character %c]}]
        for {set bit 0} {$bit < 8} {incr bit} { set crc [expr {($crc >> 1) ^ (($crc & 1) * 0x82f63b78)}] }
    }
    return [expr {$crc ^ 0xffffffff}]
}

test "data of a newer format is refused" {
    if {[auto_execok sqlite3] eq ""} { skip "no sqlite3" }
    assert_equal [crc32c 123456789] [expr {0xe3069283}]
    set node [start_node -id id1]
    stop $node
    foreach database [list [file join $node::dir($node) raft.db] {*}[glob -directory $node::dir($node) keys-*.db]] {
        set format [exec sqlite3 $database "select value from meta where name = 'format'"]
        # The row's checksum covers the name with its length, and the value.
        set head [binary format c [string length format]]format
        set crc [exec sqlite3 $database "select crc from meta where name = 'format'"]
        assert_equal [crc32c $head$format] $crc "checksum of the format row of $database"
        exec sqlite3 $database "update meta set value = '2', crc = [crc32c ${head}2] where name = 'format'"
        assert_refused [lrange $node::command($node) 1 end] "*[file tail $database]*format 2*up to 1*"
        exec sqlite3 $database "update meta set value = '$format', crc = $crc where name = 'format'"
        restart $node
        stop $node
    }
}

test "leto -v prints its version and the libraries'" {
    lassign [process::run [list $node::binary -v]] status out err
    assert_equal $status "exit 0"
    foreach word {Leto libuv hiredis SQLite} { assert {[string match -nocase "*$word*" $out]} "-v names $word: $out" }
    assert {[regexp {\d+\.\d+\.\d+} $out]}
}

test "a node logs in Redis's style, to logfile, as loud as loglevel says" {
    set path [file join $harness::directory here.log]
    set node [start_node -options [list -logfile $path -loglevel notice]]
    call_node $node CONFIG SET loglevel debug
    stop $node
    set lines [split [string trim [read_file $path]] \n]
    assert {[llength $lines] > 1}
    foreach line $lines { assert {[regexp $::log_line $line]} $line }
}
