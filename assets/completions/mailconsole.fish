# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_mailconsole_global_optspecs
    string join \n dir= user= password= domain= catch-all= accept-any max-mailboxes= local-domains= exact-text keep= no-sync echo-port= smtp-port= pop3-port= smtps-port= pop3s-port= tls-cert= tls-key= bind= profile= extensions= pop3-capabilities= auth= auth-any auth-mechanisms= auth-plaintext smtp-tls= pop3-tls= idle= max-connections= max-message= fault= fault-addresses fault-seed= break= break-timeout= relay-from= relay-every= smarthost= smarthost-user= smarthost-password= smarthost-tls= route= resolver= relay-port= relay-to-loopback ehlo helo= connections-per-domain= timeout= bounce no-tui scrollback= theme= ports-file= exit-when-idle= transcript= stamps log-file= log-level= v/verbose events= show-passwords mask-passwords a/show-author author= config= h/help V/version
end

function __fish_mailconsole_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_mailconsole_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_mailconsole_using_subcommand
    set -l cmd (__fish_mailconsole_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c mailconsole -n "__fish_mailconsole_needs_command" -l dir -d 'The directory of the mailboxes' -r
complete -c mailconsole -n "__fish_mailconsole_needs_command" -l user -d 'Create this mailbox if it is missing; may be repeated' -r
complete -c mailconsole -n "__fish_mailconsole_needs_command" -l password -d 'The password of every user who has none of their own [default: cis505]' -r
complete -c mailconsole -n "__fish_mailconsole_needs_command" -l domain -d 'The domain of the mailboxes [default: localhost]' -r
complete -c mailconsole -n "__fish_mailconsole_needs_command" -l catch-all -d 'The mailbox of USER gets all mail for unknown users and for other domains; it is created if it is missing' -r
complete -c mailconsole -n "__fish_mailconsole_needs_command" -l max-mailboxes -d 'Create no more mailboxes with --accept-any when there are this many [default: 1000]' -r
complete -c mailconsole -n "__fish_mailconsole_needs_command" -l local-domains -d 'More domains of the mailboxes; * is any run of characters; may be repeated' -r
complete -c mailconsole -n "__fish_mailconsole_needs_command" -l keep -d 'Keep this many messages in each mailbox, or those of this age, such as 1000, 7d, 12h or 30m, and remove older ones [default: all]' -r
complete -c mailconsole -n "__fish_mailconsole_needs_command" -l echo-port -d 'Port of the echo server; 0 lets the system choose [default: 10000]' -r
complete -c mailconsole -n "__fish_mailconsole_needs_command" -l smtp-port -d 'Port of the SMTP server; 0 lets the system choose [default: 2500]' -r
complete -c mailconsole -n "__fish_mailconsole_needs_command" -l pop3-port -d 'Port of the POP3 server; 0 lets the system choose [default: 11000]' -r
complete -c mailconsole -n "__fish_mailconsole_needs_command" -l smtps-port -d 'Port for SMTP over TLS from the first octet; 0 lets the system choose [default: not listened on]' -r
complete -c mailconsole -n "__fish_mailconsole_needs_command" -l pop3s-port -d 'Port for POP3 over TLS from the first octet; 0 lets the system choose [default: not listened on]' -r
complete -c mailconsole -n "__fish_mailconsole_needs_command" -l tls-cert -d 'PEM file with the servers\' certificate first, then those that lead to its authority [default: issued by our own authority: mailconsole ca]' -r
complete -c mailconsole -n "__fish_mailconsole_needs_command" -l tls-key -d 'PEM file with the private key of that certificate' -r
complete -c mailconsole -n "__fish_mailconsole_needs_command" -l bind -d 'Address to listen on; may be repeated [default: 127.0.0.1 and ::1]' -r
complete -c mailconsole -n "__fish_mailconsole_needs_command" -l profile -d 'rfc821, esmtp, catch, submission or everything' -r -f -a "rfc821\t''
esmtp\t''
catch\t''
submission\t''
everything\t''"
complete -c mailconsole -n "__fish_mailconsole_needs_command" -l extensions -d 'SMTP extensions: names are the whole set, names with + and - change the profile\'s, none is EHLO alone [default: the profile\'s]' -r
complete -c mailconsole -n "__fish_mailconsole_needs_command" -l pop3-capabilities -d 'POP3 capabilities: names are the whole set, names with + and - change the profile\'s, none is CAPA alone [default: the profile\'s]' -r
complete -c mailconsole -n "__fish_mailconsole_needs_command" -l auth -d 'Whether SMTP clients log in: off, offered, or required before MAIL [default: as the profile has it]' -r -f -a "off\t''
offered\t''
required\t''"
complete -c mailconsole -n "__fish_mailconsole_needs_command" -l auth-mechanisms -d 'SASL mechanisms that are offered: PLAIN, LOGIN, CRAM-MD5, XOAUTH2 and OAUTHBEARER [default: all]' -r
complete -c mailconsole -n "__fish_mailconsole_needs_command" -l smtp-tls -d 'Whether SMTP clients begin TLS with STARTTLS: none, offered or required [default: as the profile has it]' -r -f -a "none\t''
offered\t''
required\t''"
complete -c mailconsole -n "__fish_mailconsole_needs_command" -l pop3-tls -d 'Whether POP3 clients begin TLS with STLS: none, offered or required [default: as the profile has it]' -r -f -a "none\t''
offered\t''
required\t''"
complete -c mailconsole -n "__fish_mailconsole_needs_command" -l idle -d 'Close a connection after SECONDS without input; 0 means never [default: SMTP 300, POP3 600, echo 0]' -r
complete -c mailconsole -n "__fish_mailconsole_needs_command" -l max-connections -d 'Connections at a time, over all servers; further clients are told that the server is busy [default: 20000]' -r
complete -c mailconsole -n "__fish_mailconsole_needs_command" -l max-message -d 'Refuse longer messages; K, M and G are understood [default: 64M]' -r
complete -c mailconsole -n "__fish_mailconsole_needs_command" -l fault -d 'Play a fault on purpose: a rule, or the name of a scenario; may be repeated' -r
complete -c mailconsole -n "__fish_mailconsole_needs_command" -l fault-seed -d 'What the chance of faults is drawn from: the same number, the same hits [default: a random number]' -r
complete -c mailconsole -n "__fish_mailconsole_needs_command" -l break -d 'Hold conversations at a point until they are let go: smtp.rcpt, or smtp.rcpt! for the reply; may be repeated' -r
complete -c mailconsole -n "__fish_mailconsole_needs_command" -l break-timeout -d 'How long something is held at most [default: 10m]' -r
complete -c mailconsole -n "__fish_mailconsole_needs_command" -l relay-from -d 'Network whose clients may send mail for other domains, besides this machine; may be repeated [default: this machine only]' -r
complete -c mailconsole -n "__fish_mailconsole_needs_command" -l relay-every -d 'Run the relay every SECONDS while serving, for mail that is due [default: never]' -r
complete -c mailconsole -n "__fish_mailconsole_needs_command" -l smarthost -d 'Send the mail for all other domains to this host' -r
complete -c mailconsole -n "__fish_mailconsole_needs_command" -l smarthost-user -d 'User name at the smarthost; sent only over TLS with a verified certificate' -r
complete -c mailconsole -n "__fish_mailconsole_needs_command" -l smarthost-password -d 'Password at the smarthost' -r
complete -c mailconsole -n "__fish_mailconsole_needs_command" -l smarthost-tls -d 'How to use TLS with the smarthost: starttls, implicit (from the start, as on port 465) or none [default: implicit on port 465; otherwise starttls if it is offered, with --ehlo, and always before a password]' -r -f -a "starttls\t''
implicit\t''
none\t''"
complete -c mailconsole -n "__fish_mailconsole_needs_command" -l route -d 'Send the mail for DOMAIN to this host; may be repeated' -r
complete -c mailconsole -n "__fish_mailconsole_needs_command" -l resolver -d 'Name server to ask for mail hosts [default: the system\'s]' -r
complete -c mailconsole -n "__fish_mailconsole_needs_command" -l relay-port -d 'Port of mail hosts [default: 25]' -r
complete -c mailconsole -n "__fish_mailconsole_needs_command" -l helo -d 'Host name for HELO and EHLO [default: the domain]' -r
complete -c mailconsole -n "__fish_mailconsole_needs_command" -l connections-per-domain -d 'Connections at a time to the mail hosts of one domain [default: 5]' -r
complete -c mailconsole -n "__fish_mailconsole_needs_command" -l timeout -d 'Longest wait for a reply of a mail host or name server [default: as RFC 5321 says, 5 s to 10 min]' -r
complete -c mailconsole -n "__fish_mailconsole_needs_command" -l scrollback -d 'Transcript lines that the console keeps [default: 50000]' -r
complete -c mailconsole -n "__fish_mailconsole_needs_command" -l theme -d 'Colours of the console: dark, light, high-contrast or none [default: dark, or none if NO_COLOR is set]' -r -f -a "dark\t''
light\t''
high-contrast\t''
none\t''"
complete -c mailconsole -n "__fish_mailconsole_needs_command" -l ports-file -d 'Write to FILE where the servers listen, as JSON, once all do; it is removed at the end' -r
complete -c mailconsole -n "__fish_mailconsole_needs_command" -l exit-when-idle -d 'End when no client has been connected for TIME, such as 30s, 10m or 1h [default: never]' -r
complete -c mailconsole -n "__fish_mailconsole_needs_command" -l transcript -d 'Append the transcript to FILE, beside the console too' -r
complete -c mailconsole -n "__fish_mailconsole_needs_command" -l log-file -d 'Append the program\'s own log to FILE instead of stderr; the console shows it all the same' -r
complete -c mailconsole -n "__fish_mailconsole_needs_command" -l log-level -d 'What the program\'s own log has: error, warn, info, debug or trace [default: as RUST_LOG says; info, on stderr warn]' -r -f -a "error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c mailconsole -n "__fish_mailconsole_needs_command" -l events -d 'Append events to FILE, one JSON object a line; - is stdout' -r
complete -c mailconsole -n "__fish_mailconsole_needs_command" -l author -d 'The author, for -a and for the greeting of the echo server [default: Mail Console / mailconsole]' -r
complete -c mailconsole -n "__fish_mailconsole_needs_command" -l config -d 'The config file [default: $XDG_CONFIG_HOME/mailconsole/config.toml]' -r
complete -c mailconsole -n "__fish_mailconsole_needs_command" -l accept-any -d 'Create a mailbox for each new recipient when its first message is stored'
complete -c mailconsole -n "__fish_mailconsole_needs_command" -l exact-text -d 'Store redirected messages without a field that says for whom they were'
complete -c mailconsole -n "__fish_mailconsole_needs_command" -l no-sync -d 'Acknowledge messages before they are on disk: faster, but a power failure can lose acknowledged mail'
complete -c mailconsole -n "__fish_mailconsole_needs_command" -l auth-any -d 'Take any name and any password as right, in POP3 too; nothing is checked'
complete -c mailconsole -n "__fish_mailconsole_needs_command" -l auth-plaintext -d 'Let other machines send passwords unencrypted; otherwise only this machine may'
complete -c mailconsole -n "__fish_mailconsole_needs_command" -l fault-addresses -d 'Let addresses ask for faults: bob+fault.dot.451.once@localhost'
complete -c mailconsole -n "__fish_mailconsole_needs_command" -l relay-to-loopback -d 'Allow mail hosts at addresses of this machine'
complete -c mailconsole -n "__fish_mailconsole_needs_command" -l ehlo -d 'Greet mail hosts with EHLO and use the extensions they offer (SIZE, 8BITMIME, PIPELINING, STARTTLS) instead of HELO'
complete -c mailconsole -n "__fish_mailconsole_needs_command" -l bounce -d 'Notify local senders of mail that failed (RFC 3464), and remove it from the queue'
complete -c mailconsole -n "__fish_mailconsole_needs_command" -l no-tui -d 'Serve without a screen, until Ctrl+C'
complete -c mailconsole -n "__fish_mailconsole_needs_command" -l stamps -d 'Begin each line of a transcript with time, service and session'
complete -c mailconsole -n "__fish_mailconsole_needs_command" -s v -l verbose -d 'Write the transcript to stderr; -vv includes message text'
complete -c mailconsole -n "__fish_mailconsole_needs_command" -l show-passwords -d 'Show passwords and other secrets of clients in the transcript'
complete -c mailconsole -n "__fish_mailconsole_needs_command" -l mask-passwords -d 'Mask the argument of PASS in the transcript of -v too'
complete -c mailconsole -n "__fish_mailconsole_needs_command" -s a -l show-author -d 'Print the author to stderr and exit'
complete -c mailconsole -n "__fish_mailconsole_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mailconsole -n "__fish_mailconsole_needs_command" -s V -l version -d 'Print version'
complete -c mailconsole -n "__fish_mailconsole_needs_command" -f -a "echo" -d 'Run the echo server alone'
complete -c mailconsole -n "__fish_mailconsole_needs_command" -f -a "smtp" -d 'Run the SMTP server alone'
complete -c mailconsole -n "__fish_mailconsole_needs_command" -f -a "pop3" -d 'Run the POP3 server alone'
complete -c mailconsole -n "__fish_mailconsole_needs_command" -f -a "relay" -d 'Send the mail for other domains that waits in the queue'
complete -c mailconsole -n "__fish_mailconsole_needs_command" -f -a "queue" -d 'List the relay queue; retry, hold, release or drop entries'
complete -c mailconsole -n "__fish_mailconsole_needs_command" -f -a "check" -d 'Play a fixed conversation against any server and report what differs'
complete -c mailconsole -n "__fish_mailconsole_needs_command" -f -a "init" -d 'Create a directory and mailboxes in it'
complete -c mailconsole -n "__fish_mailconsole_needs_command" -f -a "ca" -d 'Show our own certificate authority for TLS, and make programs trust it'
complete -c mailconsole -n "__fish_mailconsole_needs_command" -f -a "demo" -d 'Show the console at work: users, mail and a mail host, in a temporary directory'
complete -c mailconsole -n "__fish_mailconsole_needs_command" -f -a "status" -d 'Say what runs on a directory, and what is in it'
complete -c mailconsole -n "__fish_mailconsole_needs_command" -f -a "stop" -d 'End the servers on a directory, and wait until they are gone'
complete -c mailconsole -n "__fish_mailconsole_needs_command" -f -a "events" -d 'Print what has happened on the servers of a directory'
complete -c mailconsole -n "__fish_mailconsole_needs_command" -f -a "exec" -d 'Run a command with servers of its own: a temporary directory and free ports'
complete -c mailconsole -n "__fish_mailconsole_needs_command" -f -a "send" -d 'Send a message, and say whether it was taken'
complete -c mailconsole -n "__fish_mailconsole_needs_command" -f -a "sendmail" -d 'Send the message on stdin, as programs expect of a sendmail'
complete -c mailconsole -n "__fish_mailconsole_needs_command" -f -a "config" -d 'Print the settings and where each came from, or a sample of the config file'
complete -c mailconsole -n "__fish_mailconsole_needs_command" -f -a "completions" -d 'Print completions for a shell'
complete -c mailconsole -n "__fish_mailconsole_needs_command" -f -a "man" -d 'Print the manual page of the program or of a command'
complete -c mailconsole -n "__fish_mailconsole_needs_command" -f -a "messages" -d 'List messages, or write them as JSON'
complete -c mailconsole -n "__fish_mailconsole_needs_command" -f -a "show" -d 'Show one message: its text, HTML, header, a part or attachments'
complete -c mailconsole -n "__fish_mailconsole_needs_command" -f -a "wait" -d 'Wait until a message comes, and print it'
complete -c mailconsole -n "__fish_mailconsole_needs_command" -f -a "mark" -d 'Print where the directory is now, for wait --since'
complete -c mailconsole -n "__fish_mailconsole_needs_command" -f -a "assert" -d 'Check how many messages there are'
complete -c mailconsole -n "__fish_mailconsole_needs_command" -f -a "clear" -d 'Remove messages'
complete -c mailconsole -n "__fish_mailconsole_needs_command" -f -a "fault" -d 'List, add or remove the faults that servers play on purpose'
complete -c mailconsole -n "__fish_mailconsole_needs_command" -f -a "held" -d 'List what servers hold at breakpoints, and decide about it'
complete -c mailconsole -n "__fish_mailconsole_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand echo" -s p -l port -d 'Port to listen on; 0 lets the system choose [default: 10000]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand echo" -l dir -d 'The directory of the mailboxes' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand echo" -l bind -d 'Address to listen on; may be repeated [default: 127.0.0.1 and ::1]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand echo" -l idle -d 'Close a connection after SECONDS without input; 0 means never [default: SMTP 300, POP3 600, echo 0]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand echo" -l max-connections -d 'Connections at a time, over all servers; further clients are told that the server is busy [default: 20000]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand echo" -l fault -d 'Play a fault on purpose: a rule, or the name of a scenario; may be repeated' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand echo" -l fault-seed -d 'What the chance of faults is drawn from: the same number, the same hits [default: a random number]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand echo" -l break -d 'Hold conversations at a point until they are let go: smtp.rcpt, or smtp.rcpt! for the reply; may be repeated' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand echo" -l break-timeout -d 'How long something is held at most [default: 10m]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand echo" -l ports-file -d 'Write to FILE where the servers listen, as JSON, once all do; it is removed at the end' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand echo" -l exit-when-idle -d 'End when no client has been connected for TIME, such as 30s, 10m or 1h [default: never]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand echo" -l transcript -d 'Append the transcript to FILE, beside the console too' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand echo" -l log-file -d 'Append the program\'s own log to FILE instead of stderr; the console shows it all the same' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand echo" -l log-level -d 'What the program\'s own log has: error, warn, info, debug or trace [default: as RUST_LOG says; info, on stderr warn]' -r -f -a "error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c mailconsole -n "__fish_mailconsole_using_subcommand echo" -l events -d 'Append events to FILE, one JSON object a line; - is stdout' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand echo" -l author -d 'The author, for -a and for the greeting of the echo server [default: Mail Console / mailconsole]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand echo" -l config -d 'The config file [default: $XDG_CONFIG_HOME/mailconsole/config.toml]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand echo" -l fault-addresses -d 'Let addresses ask for faults: bob+fault.dot.451.once@localhost'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand echo" -l stamps -d 'Begin each line of a transcript with time, service and session'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand echo" -s v -l verbose -d 'Write the transcript to stderr; -vv includes message text'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand echo" -l show-passwords -d 'Show passwords and other secrets of clients in the transcript'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand echo" -l mask-passwords -d 'Mask the argument of PASS in the transcript of -v too'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand echo" -s a -l show-author -d 'Print the author to stderr and exit'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand echo" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand smtp" -s p -l port -d 'Port to listen on; 0 lets the system choose [default: 2500]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand smtp" -l dir -d 'The directory of the mailboxes' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand smtp" -l user -d 'Create this mailbox if it is missing; may be repeated' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand smtp" -l password -d 'The password of every user who has none of their own [default: cis505]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand smtp" -l domain -d 'The domain of the mailboxes [default: localhost]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand smtp" -l catch-all -d 'The mailbox of USER gets all mail for unknown users and for other domains; it is created if it is missing' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand smtp" -l max-mailboxes -d 'Create no more mailboxes with --accept-any when there are this many [default: 1000]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand smtp" -l local-domains -d 'More domains of the mailboxes; * is any run of characters; may be repeated' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand smtp" -l keep -d 'Keep this many messages in each mailbox, or those of this age, such as 1000, 7d, 12h or 30m, and remove older ones [default: all]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand smtp" -l smtps-port -d 'Port for SMTP over TLS from the first octet; 0 lets the system choose [default: not listened on]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand smtp" -l tls-cert -d 'PEM file with the servers\' certificate first, then those that lead to its authority [default: issued by our own authority: mailconsole ca]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand smtp" -l tls-key -d 'PEM file with the private key of that certificate' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand smtp" -l bind -d 'Address to listen on; may be repeated [default: 127.0.0.1 and ::1]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand smtp" -l profile -d 'rfc821, esmtp, catch, submission or everything' -r -f -a "rfc821\t''
esmtp\t''
catch\t''
submission\t''
everything\t''"
complete -c mailconsole -n "__fish_mailconsole_using_subcommand smtp" -l extensions -d 'SMTP extensions: names are the whole set, names with + and - change the profile\'s, none is EHLO alone [default: the profile\'s]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand smtp" -l auth -d 'Whether SMTP clients log in: off, offered, or required before MAIL [default: as the profile has it]' -r -f -a "off\t''
offered\t''
required\t''"
complete -c mailconsole -n "__fish_mailconsole_using_subcommand smtp" -l auth-mechanisms -d 'SASL mechanisms that are offered: PLAIN, LOGIN, CRAM-MD5, XOAUTH2 and OAUTHBEARER [default: all]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand smtp" -l smtp-tls -d 'Whether SMTP clients begin TLS with STARTTLS: none, offered or required [default: as the profile has it]' -r -f -a "none\t''
offered\t''
required\t''"
complete -c mailconsole -n "__fish_mailconsole_using_subcommand smtp" -l idle -d 'Close a connection after SECONDS without input; 0 means never [default: SMTP 300, POP3 600, echo 0]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand smtp" -l max-connections -d 'Connections at a time, over all servers; further clients are told that the server is busy [default: 20000]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand smtp" -l max-message -d 'Refuse longer messages; K, M and G are understood [default: 64M]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand smtp" -l fault -d 'Play a fault on purpose: a rule, or the name of a scenario; may be repeated' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand smtp" -l fault-seed -d 'What the chance of faults is drawn from: the same number, the same hits [default: a random number]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand smtp" -l break -d 'Hold conversations at a point until they are let go: smtp.rcpt, or smtp.rcpt! for the reply; may be repeated' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand smtp" -l break-timeout -d 'How long something is held at most [default: 10m]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand smtp" -l relay-from -d 'Network whose clients may send mail for other domains, besides this machine; may be repeated [default: this machine only]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand smtp" -l relay-every -d 'Run the relay every SECONDS while serving, for mail that is due [default: never]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand smtp" -l ports-file -d 'Write to FILE where the servers listen, as JSON, once all do; it is removed at the end' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand smtp" -l exit-when-idle -d 'End when no client has been connected for TIME, such as 30s, 10m or 1h [default: never]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand smtp" -l transcript -d 'Append the transcript to FILE, beside the console too' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand smtp" -l log-file -d 'Append the program\'s own log to FILE instead of stderr; the console shows it all the same' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand smtp" -l log-level -d 'What the program\'s own log has: error, warn, info, debug or trace [default: as RUST_LOG says; info, on stderr warn]' -r -f -a "error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c mailconsole -n "__fish_mailconsole_using_subcommand smtp" -l events -d 'Append events to FILE, one JSON object a line; - is stdout' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand smtp" -l author -d 'The author, for -a and for the greeting of the echo server [default: Mail Console / mailconsole]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand smtp" -l config -d 'The config file [default: $XDG_CONFIG_HOME/mailconsole/config.toml]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand smtp" -l accept-any -d 'Create a mailbox for each new recipient when its first message is stored'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand smtp" -l exact-text -d 'Store redirected messages without a field that says for whom they were'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand smtp" -l no-sync -d 'Acknowledge messages before they are on disk: faster, but a power failure can lose acknowledged mail'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand smtp" -l auth-any -d 'Take any name and any password as right, in POP3 too; nothing is checked'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand smtp" -l auth-plaintext -d 'Let other machines send passwords unencrypted; otherwise only this machine may'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand smtp" -l fault-addresses -d 'Let addresses ask for faults: bob+fault.dot.451.once@localhost'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand smtp" -l stamps -d 'Begin each line of a transcript with time, service and session'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand smtp" -s v -l verbose -d 'Write the transcript to stderr; -vv includes message text'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand smtp" -l show-passwords -d 'Show passwords and other secrets of clients in the transcript'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand smtp" -l mask-passwords -d 'Mask the argument of PASS in the transcript of -v too'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand smtp" -s a -l show-author -d 'Print the author to stderr and exit'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand smtp" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand pop3" -s p -l port -d 'Port to listen on; 0 lets the system choose [default: 11000]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand pop3" -l dir -d 'The directory of the mailboxes' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand pop3" -l user -d 'Create this mailbox if it is missing; may be repeated' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand pop3" -l password -d 'The password of every user who has none of their own [default: cis505]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand pop3" -l domain -d 'The domain of the mailboxes [default: localhost]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand pop3" -l local-domains -d 'More domains of the mailboxes; * is any run of characters; may be repeated' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand pop3" -l keep -d 'Keep this many messages in each mailbox, or those of this age, such as 1000, 7d, 12h or 30m, and remove older ones [default: all]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand pop3" -l pop3s-port -d 'Port for POP3 over TLS from the first octet; 0 lets the system choose [default: not listened on]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand pop3" -l tls-cert -d 'PEM file with the servers\' certificate first, then those that lead to its authority [default: issued by our own authority: mailconsole ca]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand pop3" -l tls-key -d 'PEM file with the private key of that certificate' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand pop3" -l bind -d 'Address to listen on; may be repeated [default: 127.0.0.1 and ::1]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand pop3" -l profile -d 'rfc821, esmtp, catch, submission or everything' -r -f -a "rfc821\t''
esmtp\t''
catch\t''
submission\t''
everything\t''"
complete -c mailconsole -n "__fish_mailconsole_using_subcommand pop3" -l pop3-capabilities -d 'POP3 capabilities: names are the whole set, names with + and - change the profile\'s, none is CAPA alone [default: the profile\'s]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand pop3" -l auth-mechanisms -d 'SASL mechanisms that are offered: PLAIN, LOGIN, CRAM-MD5, XOAUTH2 and OAUTHBEARER [default: all]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand pop3" -l pop3-tls -d 'Whether POP3 clients begin TLS with STLS: none, offered or required [default: as the profile has it]' -r -f -a "none\t''
offered\t''
required\t''"
complete -c mailconsole -n "__fish_mailconsole_using_subcommand pop3" -l idle -d 'Close a connection after SECONDS without input; 0 means never [default: SMTP 300, POP3 600, echo 0]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand pop3" -l max-connections -d 'Connections at a time, over all servers; further clients are told that the server is busy [default: 20000]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand pop3" -l fault -d 'Play a fault on purpose: a rule, or the name of a scenario; may be repeated' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand pop3" -l fault-seed -d 'What the chance of faults is drawn from: the same number, the same hits [default: a random number]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand pop3" -l break -d 'Hold conversations at a point until they are let go: smtp.rcpt, or smtp.rcpt! for the reply; may be repeated' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand pop3" -l break-timeout -d 'How long something is held at most [default: 10m]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand pop3" -l relay-every -d 'Run the relay every SECONDS while serving, for mail that is due [default: never]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand pop3" -l ports-file -d 'Write to FILE where the servers listen, as JSON, once all do; it is removed at the end' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand pop3" -l exit-when-idle -d 'End when no client has been connected for TIME, such as 30s, 10m or 1h [default: never]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand pop3" -l transcript -d 'Append the transcript to FILE, beside the console too' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand pop3" -l log-file -d 'Append the program\'s own log to FILE instead of stderr; the console shows it all the same' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand pop3" -l log-level -d 'What the program\'s own log has: error, warn, info, debug or trace [default: as RUST_LOG says; info, on stderr warn]' -r -f -a "error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c mailconsole -n "__fish_mailconsole_using_subcommand pop3" -l events -d 'Append events to FILE, one JSON object a line; - is stdout' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand pop3" -l author -d 'The author, for -a and for the greeting of the echo server [default: Mail Console / mailconsole]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand pop3" -l config -d 'The config file [default: $XDG_CONFIG_HOME/mailconsole/config.toml]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand pop3" -l accept-any -d 'Create a mailbox for each new recipient when its first message is stored'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand pop3" -l no-sync -d 'Acknowledge messages before they are on disk: faster, but a power failure can lose acknowledged mail'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand pop3" -l auth-any -d 'Take any name and any password as right, in POP3 too; nothing is checked'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand pop3" -l auth-plaintext -d 'Let other machines send passwords unencrypted; otherwise only this machine may'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand pop3" -l fault-addresses -d 'Let addresses ask for faults: bob+fault.dot.451.once@localhost'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand pop3" -l stamps -d 'Begin each line of a transcript with time, service and session'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand pop3" -s v -l verbose -d 'Write the transcript to stderr; -vv includes message text'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand pop3" -l show-passwords -d 'Show passwords and other secrets of clients in the transcript'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand pop3" -l mask-passwords -d 'Mask the argument of PASS in the transcript of -v too'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand pop3" -s a -l show-author -d 'Print the author to stderr and exit'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand pop3" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand relay" -l every -d 'Keep running and retry due mail every SECONDS' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand relay" -l only -d 'Send only mail to a domain, an entry by its ID, or mail of a sender; may be repeated' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand relay" -l dir -d 'The directory of the mailboxes' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand relay" -l domain -d 'The domain of the mailboxes [default: localhost]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand relay" -l smarthost -d 'Send the mail for all other domains to this host' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand relay" -l smarthost-user -d 'User name at the smarthost; sent only over TLS with a verified certificate' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand relay" -l smarthost-password -d 'Password at the smarthost' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand relay" -l smarthost-tls -d 'How to use TLS with the smarthost: starttls, implicit (from the start, as on port 465) or none [default: implicit on port 465; otherwise starttls if it is offered, with --ehlo, and always before a password]' -r -f -a "starttls\t''
implicit\t''
none\t''"
complete -c mailconsole -n "__fish_mailconsole_using_subcommand relay" -l route -d 'Send the mail for DOMAIN to this host; may be repeated' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand relay" -l resolver -d 'Name server to ask for mail hosts [default: the system\'s]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand relay" -l relay-port -d 'Port of mail hosts [default: 25]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand relay" -l helo -d 'Host name for HELO and EHLO [default: the domain]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand relay" -l connections-per-domain -d 'Connections at a time to the mail hosts of one domain [default: 5]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand relay" -l timeout -d 'Longest wait for a reply of a mail host or name server [default: as RFC 5321 says, 5 s to 10 min]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand relay" -l transcript -d 'Append the transcript to FILE, beside the console too' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand relay" -l log-file -d 'Append the program\'s own log to FILE instead of stderr; the console shows it all the same' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand relay" -l log-level -d 'What the program\'s own log has: error, warn, info, debug or trace [default: as RUST_LOG says; info, on stderr warn]' -r -f -a "error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c mailconsole -n "__fish_mailconsole_using_subcommand relay" -l config -d 'The config file [default: $XDG_CONFIG_HOME/mailconsole/config.toml]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand relay" -l no-sync -d 'Acknowledge messages before they are on disk: faster, but a power failure can lose acknowledged mail'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand relay" -l relay-to-loopback -d 'Allow mail hosts at addresses of this machine'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand relay" -l ehlo -d 'Greet mail hosts with EHLO and use the extensions they offer (SIZE, 8BITMIME, PIPELINING, STARTTLS) instead of HELO'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand relay" -l bounce -d 'Notify local senders of mail that failed (RFC 3464), and remove it from the queue'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand relay" -l stamps -d 'Begin each line of a transcript with time, service and session'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand relay" -s v -l verbose -d 'Write the transcript to stderr; -vv includes message text'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand relay" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand queue; and not __fish_seen_subcommand_from retry hold release drop show" -l state -d 'pending, deferred (pending and tried), failed or held; several with commas' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand queue; and not __fish_seen_subcommand_from retry hold release drop show" -l domain -d 'Recipients at this domain; several with commas' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand queue; and not __fish_seen_subcommand_from retry hold release drop show" -l sender -d 'Mail of this sender; <> for notifications' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand queue; and not __fish_seen_subcommand_from retry hold release drop show" -l older -d 'Queued at least this long ago: 90s, 30m, 12h, 1d, 2w' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand queue; and not __fish_seen_subcommand_from retry hold release drop show" -l newer -d 'Queued less than this long ago' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand queue; and not __fish_seen_subcommand_from retry hold release drop show" -l larger -d 'Messages of at least this size; K, M and G are understood' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand queue; and not __fish_seen_subcommand_from retry hold release drop show" -l smaller -d 'Messages below this size' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand queue; and not __fish_seen_subcommand_from retry hold release drop show" -l reason -d 'The last reply contains this text' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand queue; and not __fish_seen_subcommand_from retry hold release drop show" -l dir -d 'The directory of the mailboxes' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand queue; and not __fish_seen_subcommand_from retry hold release drop show" -l config -d 'The config file [default: $XDG_CONFIG_HOME/mailconsole/config.toml]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand queue; and not __fish_seen_subcommand_from retry hold release drop show" -l json -d 'Write JSON, one object per line'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand queue; and not __fish_seen_subcommand_from retry hold release drop show" -l summary -d 'Count recipients by domain and age, and by reason'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand queue; and not __fish_seen_subcommand_from retry hold release drop show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand queue; and not __fish_seen_subcommand_from retry hold release drop show" -a "retry" -d 'Try again in the next run, including what failed or is held'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand queue; and not __fish_seen_subcommand_from retry hold release drop show" -a "hold" -d 'Do not try again until released'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand queue; and not __fish_seen_subcommand_from retry hold release drop show" -a "release" -d 'Try again what is held'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand queue; and not __fish_seen_subcommand_from retry hold release drop show" -a "drop" -d 'Remove from the queue for good'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand queue; and not __fish_seen_subcommand_from retry hold release drop show" -a "show" -d 'Show an entry: its envelope, every attempt and the message'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand queue; and __fish_seen_subcommand_from retry" -l state -d 'pending, deferred (pending and tried), failed or held; several with commas' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand queue; and __fish_seen_subcommand_from retry" -l domain -d 'Recipients at this domain; several with commas' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand queue; and __fish_seen_subcommand_from retry" -l sender -d 'Mail of this sender; <> for notifications' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand queue; and __fish_seen_subcommand_from retry" -l older -d 'Queued at least this long ago: 90s, 30m, 12h, 1d, 2w' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand queue; and __fish_seen_subcommand_from retry" -l newer -d 'Queued less than this long ago' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand queue; and __fish_seen_subcommand_from retry" -l larger -d 'Messages of at least this size; K, M and G are understood' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand queue; and __fish_seen_subcommand_from retry" -l smaller -d 'Messages below this size' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand queue; and __fish_seen_subcommand_from retry" -l reason -d 'The last reply contains this text' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand queue; and __fish_seen_subcommand_from retry" -l all -d 'Everything in the queue, or everything that matches the selection'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand queue; and __fish_seen_subcommand_from retry" -s h -l help -d 'Print help'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand queue; and __fish_seen_subcommand_from hold" -l state -d 'pending, deferred (pending and tried), failed or held; several with commas' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand queue; and __fish_seen_subcommand_from hold" -l domain -d 'Recipients at this domain; several with commas' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand queue; and __fish_seen_subcommand_from hold" -l sender -d 'Mail of this sender; <> for notifications' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand queue; and __fish_seen_subcommand_from hold" -l older -d 'Queued at least this long ago: 90s, 30m, 12h, 1d, 2w' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand queue; and __fish_seen_subcommand_from hold" -l newer -d 'Queued less than this long ago' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand queue; and __fish_seen_subcommand_from hold" -l larger -d 'Messages of at least this size; K, M and G are understood' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand queue; and __fish_seen_subcommand_from hold" -l smaller -d 'Messages below this size' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand queue; and __fish_seen_subcommand_from hold" -l reason -d 'The last reply contains this text' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand queue; and __fish_seen_subcommand_from hold" -l all -d 'Everything in the queue, or everything that matches the selection'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand queue; and __fish_seen_subcommand_from hold" -s h -l help -d 'Print help'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand queue; and __fish_seen_subcommand_from release" -l state -d 'pending, deferred (pending and tried), failed or held; several with commas' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand queue; and __fish_seen_subcommand_from release" -l domain -d 'Recipients at this domain; several with commas' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand queue; and __fish_seen_subcommand_from release" -l sender -d 'Mail of this sender; <> for notifications' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand queue; and __fish_seen_subcommand_from release" -l older -d 'Queued at least this long ago: 90s, 30m, 12h, 1d, 2w' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand queue; and __fish_seen_subcommand_from release" -l newer -d 'Queued less than this long ago' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand queue; and __fish_seen_subcommand_from release" -l larger -d 'Messages of at least this size; K, M and G are understood' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand queue; and __fish_seen_subcommand_from release" -l smaller -d 'Messages below this size' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand queue; and __fish_seen_subcommand_from release" -l reason -d 'The last reply contains this text' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand queue; and __fish_seen_subcommand_from release" -l all -d 'Everything in the queue, or everything that matches the selection'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand queue; and __fish_seen_subcommand_from release" -s h -l help -d 'Print help'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand queue; and __fish_seen_subcommand_from drop" -l state -d 'pending, deferred (pending and tried), failed or held; several with commas' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand queue; and __fish_seen_subcommand_from drop" -l domain -d 'Recipients at this domain; several with commas' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand queue; and __fish_seen_subcommand_from drop" -l sender -d 'Mail of this sender; <> for notifications' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand queue; and __fish_seen_subcommand_from drop" -l older -d 'Queued at least this long ago: 90s, 30m, 12h, 1d, 2w' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand queue; and __fish_seen_subcommand_from drop" -l newer -d 'Queued less than this long ago' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand queue; and __fish_seen_subcommand_from drop" -l larger -d 'Messages of at least this size; K, M and G are understood' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand queue; and __fish_seen_subcommand_from drop" -l smaller -d 'Messages below this size' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand queue; and __fish_seen_subcommand_from drop" -l reason -d 'The last reply contains this text' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand queue; and __fish_seen_subcommand_from drop" -l all -d 'Everything in the queue, or everything that matches the selection'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand queue; and __fish_seen_subcommand_from drop" -s h -l help -d 'Print help'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand queue; and __fish_seen_subcommand_from show" -l state -d 'pending, deferred (pending and tried), failed or held; several with commas' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand queue; and __fish_seen_subcommand_from show" -l domain -d 'Recipients at this domain; several with commas' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand queue; and __fish_seen_subcommand_from show" -l sender -d 'Mail of this sender; <> for notifications' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand queue; and __fish_seen_subcommand_from show" -l older -d 'Queued at least this long ago: 90s, 30m, 12h, 1d, 2w' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand queue; and __fish_seen_subcommand_from show" -l newer -d 'Queued less than this long ago' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand queue; and __fish_seen_subcommand_from show" -l larger -d 'Messages of at least this size; K, M and G are understood' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand queue; and __fish_seen_subcommand_from show" -l smaller -d 'Messages below this size' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand queue; and __fish_seen_subcommand_from show" -l reason -d 'The last reply contains this text' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand queue; and __fish_seen_subcommand_from show" -l raw -d 'Write only the message, octet for octet'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand queue; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand check; and not __fish_seen_subcommand_from client" -l host -d 'The server\'s host' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand check; and not __fish_seen_subcommand_from client" -l config -d 'The config file [default: $XDG_CONFIG_HOME/mailconsole/config.toml]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand check; and not __fish_seen_subcommand_from client" -l json -d 'Write one JSON object: whether all is right, and each step'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand check; and not __fish_seen_subcommand_from client" -s h -l help -d 'Print help'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand check; and not __fish_seen_subcommand_from client" -a "client" -d 'Play faults to a mail client, and judge what it makes of them'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand check; and __fish_seen_subcommand_from client" -l patience -d 'How long the command may wait in each scenario' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand check; and __fish_seen_subcommand_from client" -l junit -d 'Write the verdicts to this file too, as JUnit\'s XML' -r -F
complete -c mailconsole -n "__fish_mailconsole_using_subcommand check; and __fish_seen_subcommand_from client" -l explain -d 'Print what a scenario does, and what a good client makes of it' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand check; and __fish_seen_subcommand_from client" -l long -d 'Let delays be as long as the scenarios say'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand check; and __fish_seen_subcommand_from client" -l json -d 'Write one JSON object instead of lines'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand check; and __fish_seen_subcommand_from client" -l list -d 'Print the names of the scenarios'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand check; and __fish_seen_subcommand_from client" -l serve -d 'Run no command: give each scenario a port, and say which were reached'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand check; and __fish_seen_subcommand_from client" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand init" -l dir -d 'The directory of the mailboxes' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand init" -l user -d 'Create this mailbox if it is missing; may be repeated' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand init" -l config -d 'The config file [default: $XDG_CONFIG_HOME/mailconsole/config.toml]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand init" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand ca; and not __fish_seen_subcommand_from path print env install uninstall" -l domain -d 'The domain of the mailboxes [default: localhost]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand ca; and not __fish_seen_subcommand_from path print env install uninstall" -l config -d 'The config file [default: $XDG_CONFIG_HOME/mailconsole/config.toml]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand ca; and not __fish_seen_subcommand_from path print env install uninstall" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand ca; and not __fish_seen_subcommand_from path print env install uninstall" -f -a "path" -d 'Print the path of the authority\'s certificate'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand ca; and not __fish_seen_subcommand_from path print env install uninstall" -f -a "print" -d 'Print the authority\'s certificate as PEM'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand ca; and not __fish_seen_subcommand_from path print env install uninstall" -f -a "env" -d 'Print shell commands that make single programs trust it'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand ca; and not __fish_seen_subcommand_from path print env install uninstall" -f -a "install" -d 'Make this system, Firefox and Thunderbird trust it'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand ca; and not __fish_seen_subcommand_from path print env install uninstall" -f -a "uninstall" -d 'Undo install'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand ca; and __fish_seen_subcommand_from path" -s h -l help -d 'Print help'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand ca; and __fish_seen_subcommand_from print" -s h -l help -d 'Print help'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand ca; and __fish_seen_subcommand_from env" -s h -l help -d 'Print help'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand ca; and __fish_seen_subcommand_from install" -l yes -d 'Run the commands without asking'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand ca; and __fish_seen_subcommand_from install" -s h -l help -d 'Print help'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand ca; and __fish_seen_subcommand_from uninstall" -l yes -d 'Run the commands without asking'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand ca; and __fish_seen_subcommand_from uninstall" -s h -l help -d 'Print help'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand demo" -l profile -d 'rfc821, esmtp, catch, submission or everything' -r -f -a "rfc821\t''
esmtp\t''
catch\t''
submission\t''
everything\t''"
complete -c mailconsole -n "__fish_mailconsole_using_subcommand demo" -l scrollback -d 'Transcript lines that the console keeps [default: 50000]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand demo" -l theme -d 'Colours of the console: dark, light, high-contrast or none [default: dark, or none if NO_COLOR is set]' -r -f -a "dark\t''
light\t''
high-contrast\t''
none\t''"
complete -c mailconsole -n "__fish_mailconsole_using_subcommand demo" -l config -d 'The config file [default: $XDG_CONFIG_HOME/mailconsole/config.toml]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand demo" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand status" -l wait -d 'Wait until a server is ready, at most this long (5s, 2m); DIR may be still to come' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand status" -l dir -d 'The directory of the mailboxes' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand status" -l config -d 'The config file [default: $XDG_CONFIG_HOME/mailconsole/config.toml]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand status" -l json -d 'Write one JSON object'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand stop" -l dir -d 'The directory of the mailboxes' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand stop" -l config -d 'The config file [default: $XDG_CONFIG_HOME/mailconsole/config.toml]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand stop" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand events" -l since -d 'Begin there: now, a mark of `mailconsole mark`, or a time' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand events" -l dir -d 'The directory of the mailboxes' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand events" -l config -d 'The config file [default: $XDG_CONFIG_HOME/mailconsole/config.toml]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand events" -l follow -d 'Go on with what happens, until the server stops'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand events" -l json -d 'Write JSON, one object a line'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand events" -l schema -d 'Print the JSON Schema of the objects'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand events" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand exec" -l dir -d 'The directory instead of a temporary one; it is created if it is missing, and stays' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand exec" -l user -d 'Create this mailbox if it is missing; may be repeated' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand exec" -l password -d 'The password of every user who has none of their own [default: cis505]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand exec" -l domain -d 'The domain of the mailboxes [default: localhost]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand exec" -l catch-all -d 'The mailbox of USER gets all mail for unknown users and for other domains; it is created if it is missing' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand exec" -l max-mailboxes -d 'Create no more mailboxes with --accept-any when there are this many [default: 1000]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand exec" -l local-domains -d 'More domains of the mailboxes; * is any run of characters; may be repeated' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand exec" -l keep -d 'Keep this many messages in each mailbox, or those of this age, such as 1000, 7d, 12h or 30m, and remove older ones [default: all]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand exec" -l echo-port -d 'Port of the echo server [default: a free one]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand exec" -l smtp-port -d 'Port of the SMTP server [default: a free one]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand exec" -l pop3-port -d 'Port of the POP3 server [default: a free one]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand exec" -l smtps-port -d 'Port for SMTP over TLS from the first octet; 0 lets the system choose [default: not listened on]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand exec" -l pop3s-port -d 'Port for POP3 over TLS from the first octet; 0 lets the system choose [default: not listened on]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand exec" -l tls-cert -d 'PEM file with the servers\' certificate first, then those that lead to its authority [default: issued by our own authority: mailconsole ca]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand exec" -l tls-key -d 'PEM file with the private key of that certificate' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand exec" -l bind -d 'Address to listen on; may be repeated [default: 127.0.0.1 and ::1]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand exec" -l profile -d 'rfc821, esmtp, catch, submission or everything' -r -f -a "rfc821\t''
esmtp\t''
catch\t''
submission\t''
everything\t''"
complete -c mailconsole -n "__fish_mailconsole_using_subcommand exec" -l extensions -d 'SMTP extensions: names are the whole set, names with + and - change the profile\'s, none is EHLO alone [default: the profile\'s]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand exec" -l pop3-capabilities -d 'POP3 capabilities: names are the whole set, names with + and - change the profile\'s, none is CAPA alone [default: the profile\'s]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand exec" -l auth -d 'Whether SMTP clients log in: off, offered, or required before MAIL [default: as the profile has it]' -r -f -a "off\t''
offered\t''
required\t''"
complete -c mailconsole -n "__fish_mailconsole_using_subcommand exec" -l auth-mechanisms -d 'SASL mechanisms that are offered: PLAIN, LOGIN, CRAM-MD5, XOAUTH2 and OAUTHBEARER [default: all]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand exec" -l smtp-tls -d 'Whether SMTP clients begin TLS with STARTTLS: none, offered or required [default: as the profile has it]' -r -f -a "none\t''
offered\t''
required\t''"
complete -c mailconsole -n "__fish_mailconsole_using_subcommand exec" -l pop3-tls -d 'Whether POP3 clients begin TLS with STLS: none, offered or required [default: as the profile has it]' -r -f -a "none\t''
offered\t''
required\t''"
complete -c mailconsole -n "__fish_mailconsole_using_subcommand exec" -l idle -d 'Close a connection after SECONDS without input; 0 means never [default: SMTP 300, POP3 600, echo 0]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand exec" -l max-connections -d 'Connections at a time, over all servers; further clients are told that the server is busy [default: 20000]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand exec" -l max-message -d 'Refuse longer messages; K, M and G are understood [default: 64M]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand exec" -l fault -d 'Play a fault on purpose: a rule, or the name of a scenario; may be repeated' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand exec" -l fault-seed -d 'What the chance of faults is drawn from: the same number, the same hits [default: a random number]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand exec" -l break -d 'Hold conversations at a point until they are let go: smtp.rcpt, or smtp.rcpt! for the reply; may be repeated' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand exec" -l break-timeout -d 'How long something is held at most [default: 10m]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand exec" -l relay-from -d 'Network whose clients may send mail for other domains, besides this machine; may be repeated [default: this machine only]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand exec" -l relay-every -d 'Run the relay every SECONDS while serving, for mail that is due [default: never]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand exec" -l ports-file -d 'Write to FILE where the servers listen, as JSON, once all do; it is removed at the end' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand exec" -l transcript -d 'Append the transcript to FILE, beside the console too' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand exec" -l log-file -d 'Append the program\'s own log to FILE instead of stderr; the console shows it all the same' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand exec" -l log-level -d 'What the program\'s own log has: error, warn, info, debug or trace [default: as RUST_LOG says; info, on stderr warn]' -r -f -a "error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c mailconsole -n "__fish_mailconsole_using_subcommand exec" -l events -d 'Append events to FILE, one JSON object a line; - is stdout' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand exec" -l author -d 'The author, for -a and for the greeting of the echo server [default: Mail Console / mailconsole]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand exec" -l config -d 'The config file [default: $XDG_CONFIG_HOME/mailconsole/config.toml]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand exec" -l keep-on-failure -d 'If the command fails, keep the directory, with the conversations in transcript.log'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand exec" -l accept-any -d 'Create a mailbox for each new recipient when its first message is stored'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand exec" -l exact-text -d 'Store redirected messages without a field that says for whom they were'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand exec" -l no-sync -d 'Acknowledge messages before they are on disk: faster, but a power failure can lose acknowledged mail'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand exec" -l auth-any -d 'Take any name and any password as right, in POP3 too; nothing is checked'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand exec" -l auth-plaintext -d 'Let other machines send passwords unencrypted; otherwise only this machine may'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand exec" -l fault-addresses -d 'Let addresses ask for faults: bob+fault.dot.451.once@localhost'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand exec" -l stamps -d 'Begin each line of a transcript with time, service and session'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand exec" -s v -l verbose -d 'Write the transcript to stderr; -vv includes message text'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand exec" -l show-passwords -d 'Show passwords and other secrets of clients in the transcript'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand exec" -l mask-passwords -d 'Mask the argument of PASS in the transcript of -v too'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand exec" -s a -l show-author -d 'Print the author to stderr and exit'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand exec" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand send" -l to -d 'A recipient; may be repeated [default: those in the header of --eml]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand send" -l from -d 'The sender; <> is nobody [default: From of --eml, or you]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand send" -l subject -d 'The subject' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand send" -l body -d 'The text; - is stdin' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand send" -l eml -d 'A whole message, to which only missing fields are added; - is stdin' -r -F
complete -c mailconsole -n "__fish_mailconsole_using_subcommand send" -l attach -d 'A file to attach; may be repeated' -r -F
complete -c mailconsole -n "__fish_mailconsole_using_subcommand send" -l header -d 'A field of the header; may be repeated' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand send" -l smtp -d 'The server [default: $SMTP_HOST:$SMTP_PORT, else localhost:2500]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand send" -l auth -d 'Log in, by what the server offers of PLAIN, LOGIN and CRAM-MD5' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand send" -l tls -d 'TLS: none, starttls, required or implicit' -r -f -a "none\t''
starttls\t''
required\t''
implicit\t''"
complete -c mailconsole -n "__fish_mailconsole_using_subcommand send" -l ca -d 'PEM file of authorities to trust, beside the system\'s [default: $MAILCONSOLE_CA]' -r -F
complete -c mailconsole -n "__fish_mailconsole_using_subcommand send" -l transcript -d 'Append the transcript to FILE, beside the console too' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand send" -l log-file -d 'Append the program\'s own log to FILE instead of stderr; the console shows it all the same' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand send" -l log-level -d 'What the program\'s own log has: error, warn, info, debug or trace [default: as RUST_LOG says; info, on stderr warn]' -r -f -a "error\t''
warn\t''
info\t''
debug\t''
trace\t''"
complete -c mailconsole -n "__fish_mailconsole_using_subcommand send" -l config -d 'The config file [default: $XDG_CONFIG_HOME/mailconsole/config.toml]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand send" -l stamps -d 'Begin each line of a transcript with time, service and session'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand send" -s v -l verbose -d 'Write the transcript to stderr; -vv includes message text'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand send" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand sendmail" -s h -l help -d 'Print help'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand config" -l config -d 'The config file [default: $XDG_CONFIG_HOME/mailconsole/config.toml]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand config" -l json -d 'Write one JSON object: {"smtp-port":{"value":2525,"from":"flag"},...}'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand config" -l sample -d 'Write a config file with every setting in a comment'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand config" -s h -l help -d 'Print help'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand completions" -s h -l help -d 'Print help'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand man" -s h -l help -d 'Print help'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand messages" -l config -d 'The config file [default: $XDG_CONFIG_HOME/mailconsole/config.toml]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand messages" -l json -d 'Write JSON, one object per line'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand messages" -s h -l help -d 'Print help'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand show" -l part -d 'The decoded octets of a part; parts that have no parts are counted from 1' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand show" -l attachments -d 'Write each attachment to a new file there, and print the paths' -r -F
complete -c mailconsole -n "__fish_mailconsole_using_subcommand show" -l config -d 'The config file [default: $XDG_CONFIG_HOME/mailconsole/config.toml]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand show" -l raw -d 'The octets as POP3\'s RETR gives them'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand show" -l text -d 'The text, decoded; HTML alone as plain text'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand show" -l html -d 'The HTML'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand show" -l headers -d 'The header, decoded'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand show" -l json -d 'All of it as one JSON object'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand show" -s h -l help -d 'Print help'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand wait" -l since -d 'Only messages that came after MARK (of mailconsole mark), or from now on' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand wait" -l count -d 'How many messages [default: 1]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand wait" -l timeout -d 'How long: 500ms, 10s, 2m [default: 30s]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand wait" -l print -d 'json, raw, text, html, path (of a new file), link or link=/EXPRESSION/, instead of a line' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand wait" -l config -d 'The config file [default: $XDG_CONFIG_HOME/mailconsole/config.toml]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand wait" -s h -l help -d 'Print help'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand mark" -l config -d 'The config file [default: $XDG_CONFIG_HOME/mailconsole/config.toml]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand mark" -s h -l help -d 'Print help'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand assert" -l config -d 'The config file [default: $XDG_CONFIG_HOME/mailconsole/config.toml]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand assert" -s h -l help -d 'Print help'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand clear" -l config -d 'The config file [default: $XDG_CONFIG_HOME/mailconsole/config.toml]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand clear" -l yes -d 'Do not ask on the terminal'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand clear" -s h -l help -d 'Print help'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand fault" -l dir -d 'The directory of the mailboxes' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand fault" -l config -d 'The config file [default: $XDG_CONFIG_HOME/mailconsole/config.toml]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand fault" -l json -d 'Write one JSON object'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand fault" -l catalogue -d 'Print the scenarios: name, rules, what a good client does, and the paragraph'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand fault" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand held" -l dir -d 'The directory of the mailboxes' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand held" -l config -d 'The config file [default: $XDG_CONFIG_HOME/mailconsole/config.toml]' -r
complete -c mailconsole -n "__fish_mailconsole_using_subcommand held" -l json -d 'Write one JSON object'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand held" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand help; and not __fish_seen_subcommand_from echo smtp pop3 relay queue check init ca demo status stop events exec send sendmail config completions man messages show wait mark assert clear fault held help" -f -a "echo" -d 'Run the echo server alone'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand help; and not __fish_seen_subcommand_from echo smtp pop3 relay queue check init ca demo status stop events exec send sendmail config completions man messages show wait mark assert clear fault held help" -f -a "smtp" -d 'Run the SMTP server alone'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand help; and not __fish_seen_subcommand_from echo smtp pop3 relay queue check init ca demo status stop events exec send sendmail config completions man messages show wait mark assert clear fault held help" -f -a "pop3" -d 'Run the POP3 server alone'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand help; and not __fish_seen_subcommand_from echo smtp pop3 relay queue check init ca demo status stop events exec send sendmail config completions man messages show wait mark assert clear fault held help" -f -a "relay" -d 'Send the mail for other domains that waits in the queue'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand help; and not __fish_seen_subcommand_from echo smtp pop3 relay queue check init ca demo status stop events exec send sendmail config completions man messages show wait mark assert clear fault held help" -f -a "queue" -d 'List the relay queue; retry, hold, release or drop entries'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand help; and not __fish_seen_subcommand_from echo smtp pop3 relay queue check init ca demo status stop events exec send sendmail config completions man messages show wait mark assert clear fault held help" -f -a "check" -d 'Play a fixed conversation against any server and report what differs'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand help; and not __fish_seen_subcommand_from echo smtp pop3 relay queue check init ca demo status stop events exec send sendmail config completions man messages show wait mark assert clear fault held help" -f -a "init" -d 'Create a directory and mailboxes in it'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand help; and not __fish_seen_subcommand_from echo smtp pop3 relay queue check init ca demo status stop events exec send sendmail config completions man messages show wait mark assert clear fault held help" -f -a "ca" -d 'Show our own certificate authority for TLS, and make programs trust it'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand help; and not __fish_seen_subcommand_from echo smtp pop3 relay queue check init ca demo status stop events exec send sendmail config completions man messages show wait mark assert clear fault held help" -f -a "demo" -d 'Show the console at work: users, mail and a mail host, in a temporary directory'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand help; and not __fish_seen_subcommand_from echo smtp pop3 relay queue check init ca demo status stop events exec send sendmail config completions man messages show wait mark assert clear fault held help" -f -a "status" -d 'Say what runs on a directory, and what is in it'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand help; and not __fish_seen_subcommand_from echo smtp pop3 relay queue check init ca demo status stop events exec send sendmail config completions man messages show wait mark assert clear fault held help" -f -a "stop" -d 'End the servers on a directory, and wait until they are gone'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand help; and not __fish_seen_subcommand_from echo smtp pop3 relay queue check init ca demo status stop events exec send sendmail config completions man messages show wait mark assert clear fault held help" -f -a "events" -d 'Print what has happened on the servers of a directory'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand help; and not __fish_seen_subcommand_from echo smtp pop3 relay queue check init ca demo status stop events exec send sendmail config completions man messages show wait mark assert clear fault held help" -f -a "exec" -d 'Run a command with servers of its own: a temporary directory and free ports'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand help; and not __fish_seen_subcommand_from echo smtp pop3 relay queue check init ca demo status stop events exec send sendmail config completions man messages show wait mark assert clear fault held help" -f -a "send" -d 'Send a message, and say whether it was taken'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand help; and not __fish_seen_subcommand_from echo smtp pop3 relay queue check init ca demo status stop events exec send sendmail config completions man messages show wait mark assert clear fault held help" -f -a "sendmail" -d 'Send the message on stdin, as programs expect of a sendmail'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand help; and not __fish_seen_subcommand_from echo smtp pop3 relay queue check init ca demo status stop events exec send sendmail config completions man messages show wait mark assert clear fault held help" -f -a "config" -d 'Print the settings and where each came from, or a sample of the config file'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand help; and not __fish_seen_subcommand_from echo smtp pop3 relay queue check init ca demo status stop events exec send sendmail config completions man messages show wait mark assert clear fault held help" -f -a "completions" -d 'Print completions for a shell'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand help; and not __fish_seen_subcommand_from echo smtp pop3 relay queue check init ca demo status stop events exec send sendmail config completions man messages show wait mark assert clear fault held help" -f -a "man" -d 'Print the manual page of the program or of a command'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand help; and not __fish_seen_subcommand_from echo smtp pop3 relay queue check init ca demo status stop events exec send sendmail config completions man messages show wait mark assert clear fault held help" -f -a "messages" -d 'List messages, or write them as JSON'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand help; and not __fish_seen_subcommand_from echo smtp pop3 relay queue check init ca demo status stop events exec send sendmail config completions man messages show wait mark assert clear fault held help" -f -a "show" -d 'Show one message: its text, HTML, header, a part or attachments'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand help; and not __fish_seen_subcommand_from echo smtp pop3 relay queue check init ca demo status stop events exec send sendmail config completions man messages show wait mark assert clear fault held help" -f -a "wait" -d 'Wait until a message comes, and print it'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand help; and not __fish_seen_subcommand_from echo smtp pop3 relay queue check init ca demo status stop events exec send sendmail config completions man messages show wait mark assert clear fault held help" -f -a "mark" -d 'Print where the directory is now, for wait --since'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand help; and not __fish_seen_subcommand_from echo smtp pop3 relay queue check init ca demo status stop events exec send sendmail config completions man messages show wait mark assert clear fault held help" -f -a "assert" -d 'Check how many messages there are'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand help; and not __fish_seen_subcommand_from echo smtp pop3 relay queue check init ca demo status stop events exec send sendmail config completions man messages show wait mark assert clear fault held help" -f -a "clear" -d 'Remove messages'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand help; and not __fish_seen_subcommand_from echo smtp pop3 relay queue check init ca demo status stop events exec send sendmail config completions man messages show wait mark assert clear fault held help" -f -a "fault" -d 'List, add or remove the faults that servers play on purpose'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand help; and not __fish_seen_subcommand_from echo smtp pop3 relay queue check init ca demo status stop events exec send sendmail config completions man messages show wait mark assert clear fault held help" -f -a "held" -d 'List what servers hold at breakpoints, and decide about it'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand help; and not __fish_seen_subcommand_from echo smtp pop3 relay queue check init ca demo status stop events exec send sendmail config completions man messages show wait mark assert clear fault held help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand help; and __fish_seen_subcommand_from queue" -f -a "retry" -d 'Try again in the next run, including what failed or is held'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand help; and __fish_seen_subcommand_from queue" -f -a "hold" -d 'Do not try again until released'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand help; and __fish_seen_subcommand_from queue" -f -a "release" -d 'Try again what is held'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand help; and __fish_seen_subcommand_from queue" -f -a "drop" -d 'Remove from the queue for good'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand help; and __fish_seen_subcommand_from queue" -f -a "show" -d 'Show an entry: its envelope, every attempt and the message'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand help; and __fish_seen_subcommand_from check" -f -a "client" -d 'Play faults to a mail client, and judge what it makes of them'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand help; and __fish_seen_subcommand_from ca" -f -a "path" -d 'Print the path of the authority\'s certificate'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand help; and __fish_seen_subcommand_from ca" -f -a "print" -d 'Print the authority\'s certificate as PEM'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand help; and __fish_seen_subcommand_from ca" -f -a "env" -d 'Print shell commands that make single programs trust it'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand help; and __fish_seen_subcommand_from ca" -f -a "install" -d 'Make this system, Firefox and Thunderbird trust it'
complete -c mailconsole -n "__fish_mailconsole_using_subcommand help; and __fish_seen_subcommand_from ca" -f -a "uninstall" -d 'Undo install'
