# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_tracemend_global_optspecs
    string join \n input-format= max-depth= max-string= max-record= max-decompressed= spool-limit= service= since= from= to= env= trace-id= jaeger= signoz= operation= tag= min-duration= limit= max-spans= deadline= settle= tenant= tenant-header= bearer-token-file= basic-auth-file= api-key-file= header-file= insecure threads= occurrences= fail-on= min-confidence= min-traces= max-rejects= allow-partial exit-zero ignore= format= o/output= report= top= trace-url= color= ascii no-progress q/quiet v/verbose relink= h/help V/version
end

function __fish_tracemend_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_tracemend_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_tracemend_using_subcommand
    set -l cmd (__fish_tracemend_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c tracemend -n "__fish_tracemend_needs_command" -l input-format -d 'Format of every input, in place of detection (see `tracemend formats`)' -r -f -a "jaeger-json\t''
jaeger-es-json\t''
zipkin-json\t''
signoz-trace\t''
signoz-waterfall\t''
signoz-rows\t''
signoz-table\t''
clickhouse-otel-traces\t''
clickhouse-otel-traces-table\t''
clickhouse-jaeger-spans\t''
clickhouse-jaeger-spans-table\t''
go-stdout-json\t''
python-console-json\t''
zipkin-v1-json\t''
data-prepper-json\t''
jaeger-v3-json\t''
grafana-tempo-json\t''
tempo-json\t''
otlp-json\t''
otlp-protobuf-frames\t''
otlp-protobuf\t''
otlp-protobuf-delimited\t''"
complete -c tracemend -n "__fish_tracemend_needs_command" -l max-depth -d 'Deepest nesting that is read [default: 128]' -r
complete -c tracemend -n "__fish_tracemend_needs_command" -l max-string -d 'Longest string that is read [default: 16MiB]' -r
complete -c tracemend -n "__fish_tracemend_needs_command" -l max-record -d 'Longest single record that is read [default: 256MiB]' -r
complete -c tracemend -n "__fish_tracemend_needs_command" -l max-decompressed -d 'Most bytes that a compressed input may become [default: 64GiB]' -r
complete -c tracemend -n "__fish_tracemend_needs_command" -l spool-limit -d 'Most bytes kept, compressed, in a private temporary file of input that cannot be read twice [default: 1GiB]' -r
complete -c tracemend -n "__fish_tracemend_needs_command" -l service -d 'Files: judge spans of this service only, other spans still count as parents. Backends: fetch the traces in which it takes part (repeatable)' -r
complete -c tracemend -n "__fish_tracemend_needs_command" -l since -d 'The last part only, such as 15m or 1h30m. Files: counted from their newest span. Backends: counted from now [default for backends: 1h]' -r
complete -c tracemend -n "__fish_tracemend_needs_command" -l from -d 'Spans that start at this time or later: RFC 3339, a date, or a Unix time' -r
complete -c tracemend -n "__fish_tracemend_needs_command" -l to -d 'Spans that start before this time' -r
complete -c tracemend -n "__fish_tracemend_needs_command" -l env -d 'Judge this deployment.environment.name only (repeatable)' -r
complete -c tracemend -n "__fish_tracemend_needs_command" -l trace-id -d 'Judge this trace only; a backend is asked for it by its id (repeatable)' -r
complete -c tracemend -n "__fish_tracemend_needs_command" -l jaeger -d 'Ask the query API of Jaeger, such as http://localhost:16686' -r
complete -c tracemend -n "__fish_tracemend_needs_command" -l signoz -d 'Ask SigNoz, such as http://localhost:8080' -r
complete -c tracemend -n "__fish_tracemend_needs_command" -l operation -d 'Fetch traces with this operation' -r
complete -c tracemend -n "__fish_tracemend_needs_command" -l tag -d 'Fetch traces with a span that has this attribute (repeatable)' -r
complete -c tracemend -n "__fish_tracemend_needs_command" -l min-duration -d 'Fetch traces with a span of this duration or longer, such as 500ms' -r
complete -c tracemend -n "__fish_tracemend_needs_command" -l limit -d 'Most traces to fetch; they come whole [default: 1000]' -r
complete -c tracemend -n "__fish_tracemend_needs_command" -l max-spans -d 'Fetch no further trace after so many spans [default: 10000000]' -r
complete -c tracemend -n "__fish_tracemend_needs_command" -l deadline -d 'Longest time for fetching; what came until then is reported [default: 60s]' -r
complete -c tracemend -n "__fish_tracemend_needs_command" -l settle -d 'Do not judge traces that ended so short a time ago: spans may still come [default: 30s]' -r
complete -c tracemend -n "__fish_tracemend_needs_command" -l tenant -d 'Tenant to ask for' -r
complete -c tracemend -n "__fish_tracemend_needs_command" -l tenant-header -d 'Header that names the tenant [default: that of the backend]' -r
complete -c tracemend -n "__fish_tracemend_needs_command" -l bearer-token-file -d 'File with a bearer token; or set TRACEMEND_BEARER_TOKEN' -r -F
complete -c tracemend -n "__fish_tracemend_needs_command" -l basic-auth-file -d 'File with user:password; or set TRACEMEND_BASIC_AUTH' -r -F
complete -c tracemend -n "__fish_tracemend_needs_command" -l api-key-file -d 'File with an API key of SigNoz; or set SIGNOZ_API_KEY' -r -F
complete -c tracemend -n "__fish_tracemend_needs_command" -l header-file -d 'File with further headers, one `Name: value` a line; or set TRACEMEND_HEADERS' -r -F
complete -c tracemend -n "__fish_tracemend_needs_command" -l threads -d 'Number of threads [default: one per core]' -r
complete -c tracemend -n "__fish_tracemend_needs_command" -l occurrences -d 'How many affected spans each finding lists' -r
complete -c tracemend -n "__fish_tracemend_needs_command" -l fail-on -d 'Least severity that makes the exit code 1' -r -f -a "error\t'Errors'
warning\t'Warnings and errors'
info\t'Every finding'
never\t'No finding'"
complete -c tracemend -n "__fish_tracemend_needs_command" -l min-confidence -d 'Least confidence that makes the exit code 1' -r -f -a "low\t'Hints as well'
medium\t'One of several explanations'
high\t'Look-alikes are rare or excluded'
certain\t'Counted, not inferred'"
complete -c tracemend -n "__fish_tracemend_needs_command" -l min-traces -d 'Fewer traces are inconclusive (exit code 3)' -r
complete -c tracemend -n "__fish_tracemend_needs_command" -l max-rejects -d 'Share of spans or bytes that may be unreadable before the run is inconclusive' -r
complete -c tracemend -n "__fish_tracemend_needs_command" -l ignore -d 'Ignore a rule, everywhere or for one service (repeatable)' -r
complete -c tracemend -n "__fish_tracemend_needs_command" -l format -d 'Format of the report' -r -f -a "table\t''
concise\t''
json\t''"
complete -c tracemend -n "__fish_tracemend_needs_command" -s o -l output -d 'Write the report to a file instead of stdout' -r -F
complete -c tracemend -n "__fish_tracemend_needs_command" -l report -d 'Write a further report, such as json=report.json (repeatable)' -r
complete -c tracemend -n "__fish_tracemend_needs_command" -l top -d 'How many findings the table shows in detail' -r
complete -c tracemend -n "__fish_tracemend_needs_command" -l trace-url -d 'Page of a trace in your backend, for links' -r
complete -c tracemend -n "__fish_tracemend_needs_command" -l color -d 'Colour' -r -f -a "auto\t'On terminals, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c tracemend -n "__fish_tracemend_needs_command" -l relink -d 'Write every trace that has a finding, whole, as OTLP JSON lines, with each proposed parent as a span link' -r -F
complete -c tracemend -n "__fish_tracemend_needs_command" -l insecure -d 'Believe any certificate'
complete -c tracemend -n "__fish_tracemend_needs_command" -l allow-partial -d 'Judge partial input as if it were whole'
complete -c tracemend -n "__fish_tracemend_needs_command" -l exit-zero -d 'Return 0 in place of 1; every other code stays'
complete -c tracemend -n "__fish_tracemend_needs_command" -l ascii -d 'Draw with ASCII characters only'
complete -c tracemend -n "__fish_tracemend_needs_command" -l no-progress -d 'No progress on stderr'
complete -c tracemend -n "__fish_tracemend_needs_command" -s q -l quiet -d 'Less: -q prints findings only, -qq nothing'
complete -c tracemend -n "__fish_tracemend_needs_command" -s v -l verbose -d 'More: every evidence, every input, longer examples, every request to a backend'
complete -c tracemend -n "__fish_tracemend_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c tracemend -n "__fish_tracemend_needs_command" -s V -l version -d 'Print version'
complete -c tracemend -n "__fish_tracemend_needs_command" -a "check" -d 'Diagnose exported traces; `tracemend INPUT…` does the same'
complete -c tracemend -n "__fish_tracemend_needs_command" -a "show" -d 'Show one trace as a tree'
complete -c tracemend -n "__fish_tracemend_needs_command" -a "demo" -d 'Diagnose a small sample that comes with the program'
complete -c tracemend -n "__fish_tracemend_needs_command" -a "explain" -d 'Explain a rule or a cause: what it is, how it is told, how to fix it'
complete -c tracemend -n "__fish_tracemend_needs_command" -a "rules" -d 'List the rules'
complete -c tracemend -n "__fish_tracemend_needs_command" -a "formats" -d 'List the input formats'
complete -c tracemend -n "__fish_tracemend_needs_command" -a "completions" -d 'Print a completion script for a shell'
complete -c tracemend -n "__fish_tracemend_needs_command" -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c tracemend -n "__fish_tracemend_using_subcommand check" -l input-format -d 'Format of every input, in place of detection (see `tracemend formats`)' -r -f -a "jaeger-json\t''
jaeger-es-json\t''
zipkin-json\t''
signoz-trace\t''
signoz-waterfall\t''
signoz-rows\t''
signoz-table\t''
clickhouse-otel-traces\t''
clickhouse-otel-traces-table\t''
clickhouse-jaeger-spans\t''
clickhouse-jaeger-spans-table\t''
go-stdout-json\t''
python-console-json\t''
zipkin-v1-json\t''
data-prepper-json\t''
jaeger-v3-json\t''
grafana-tempo-json\t''
tempo-json\t''
otlp-json\t''
otlp-protobuf-frames\t''
otlp-protobuf\t''
otlp-protobuf-delimited\t''"
complete -c tracemend -n "__fish_tracemend_using_subcommand check" -l max-depth -d 'Deepest nesting that is read [default: 128]' -r
complete -c tracemend -n "__fish_tracemend_using_subcommand check" -l max-string -d 'Longest string that is read [default: 16MiB]' -r
complete -c tracemend -n "__fish_tracemend_using_subcommand check" -l max-record -d 'Longest single record that is read [default: 256MiB]' -r
complete -c tracemend -n "__fish_tracemend_using_subcommand check" -l max-decompressed -d 'Most bytes that a compressed input may become [default: 64GiB]' -r
complete -c tracemend -n "__fish_tracemend_using_subcommand check" -l spool-limit -d 'Most bytes kept, compressed, in a private temporary file of input that cannot be read twice [default: 1GiB]' -r
complete -c tracemend -n "__fish_tracemend_using_subcommand check" -l service -d 'Files: judge spans of this service only, other spans still count as parents. Backends: fetch the traces in which it takes part (repeatable)' -r
complete -c tracemend -n "__fish_tracemend_using_subcommand check" -l since -d 'The last part only, such as 15m or 1h30m. Files: counted from their newest span. Backends: counted from now [default for backends: 1h]' -r
complete -c tracemend -n "__fish_tracemend_using_subcommand check" -l from -d 'Spans that start at this time or later: RFC 3339, a date, or a Unix time' -r
complete -c tracemend -n "__fish_tracemend_using_subcommand check" -l to -d 'Spans that start before this time' -r
complete -c tracemend -n "__fish_tracemend_using_subcommand check" -l env -d 'Judge this deployment.environment.name only (repeatable)' -r
complete -c tracemend -n "__fish_tracemend_using_subcommand check" -l trace-id -d 'Judge this trace only; a backend is asked for it by its id (repeatable)' -r
complete -c tracemend -n "__fish_tracemend_using_subcommand check" -l jaeger -d 'Ask the query API of Jaeger, such as http://localhost:16686' -r
complete -c tracemend -n "__fish_tracemend_using_subcommand check" -l signoz -d 'Ask SigNoz, such as http://localhost:8080' -r
complete -c tracemend -n "__fish_tracemend_using_subcommand check" -l operation -d 'Fetch traces with this operation' -r
complete -c tracemend -n "__fish_tracemend_using_subcommand check" -l tag -d 'Fetch traces with a span that has this attribute (repeatable)' -r
complete -c tracemend -n "__fish_tracemend_using_subcommand check" -l min-duration -d 'Fetch traces with a span of this duration or longer, such as 500ms' -r
complete -c tracemend -n "__fish_tracemend_using_subcommand check" -l limit -d 'Most traces to fetch; they come whole [default: 1000]' -r
complete -c tracemend -n "__fish_tracemend_using_subcommand check" -l max-spans -d 'Fetch no further trace after so many spans [default: 10000000]' -r
complete -c tracemend -n "__fish_tracemend_using_subcommand check" -l deadline -d 'Longest time for fetching; what came until then is reported [default: 60s]' -r
complete -c tracemend -n "__fish_tracemend_using_subcommand check" -l settle -d 'Do not judge traces that ended so short a time ago: spans may still come [default: 30s]' -r
complete -c tracemend -n "__fish_tracemend_using_subcommand check" -l tenant -d 'Tenant to ask for' -r
complete -c tracemend -n "__fish_tracemend_using_subcommand check" -l tenant-header -d 'Header that names the tenant [default: that of the backend]' -r
complete -c tracemend -n "__fish_tracemend_using_subcommand check" -l bearer-token-file -d 'File with a bearer token; or set TRACEMEND_BEARER_TOKEN' -r -F
complete -c tracemend -n "__fish_tracemend_using_subcommand check" -l basic-auth-file -d 'File with user:password; or set TRACEMEND_BASIC_AUTH' -r -F
complete -c tracemend -n "__fish_tracemend_using_subcommand check" -l api-key-file -d 'File with an API key of SigNoz; or set SIGNOZ_API_KEY' -r -F
complete -c tracemend -n "__fish_tracemend_using_subcommand check" -l header-file -d 'File with further headers, one `Name: value` a line; or set TRACEMEND_HEADERS' -r -F
complete -c tracemend -n "__fish_tracemend_using_subcommand check" -l threads -d 'Number of threads [default: one per core]' -r
complete -c tracemend -n "__fish_tracemend_using_subcommand check" -l occurrences -d 'How many affected spans each finding lists' -r
complete -c tracemend -n "__fish_tracemend_using_subcommand check" -l fail-on -d 'Least severity that makes the exit code 1' -r -f -a "error\t'Errors'
warning\t'Warnings and errors'
info\t'Every finding'
never\t'No finding'"
complete -c tracemend -n "__fish_tracemend_using_subcommand check" -l min-confidence -d 'Least confidence that makes the exit code 1' -r -f -a "low\t'Hints as well'
medium\t'One of several explanations'
high\t'Look-alikes are rare or excluded'
certain\t'Counted, not inferred'"
complete -c tracemend -n "__fish_tracemend_using_subcommand check" -l min-traces -d 'Fewer traces are inconclusive (exit code 3)' -r
complete -c tracemend -n "__fish_tracemend_using_subcommand check" -l max-rejects -d 'Share of spans or bytes that may be unreadable before the run is inconclusive' -r
complete -c tracemend -n "__fish_tracemend_using_subcommand check" -l ignore -d 'Ignore a rule, everywhere or for one service (repeatable)' -r
complete -c tracemend -n "__fish_tracemend_using_subcommand check" -l format -d 'Format of the report' -r -f -a "table\t''
concise\t''
json\t''"
complete -c tracemend -n "__fish_tracemend_using_subcommand check" -s o -l output -d 'Write the report to a file instead of stdout' -r -F
complete -c tracemend -n "__fish_tracemend_using_subcommand check" -l report -d 'Write a further report, such as json=report.json (repeatable)' -r
complete -c tracemend -n "__fish_tracemend_using_subcommand check" -l top -d 'How many findings the table shows in detail' -r
complete -c tracemend -n "__fish_tracemend_using_subcommand check" -l trace-url -d 'Page of a trace in your backend, for links' -r
complete -c tracemend -n "__fish_tracemend_using_subcommand check" -l color -d 'Colour' -r -f -a "auto\t'On terminals, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c tracemend -n "__fish_tracemend_using_subcommand check" -l relink -d 'Write every trace that has a finding, whole, as OTLP JSON lines, with each proposed parent as a span link' -r -F
complete -c tracemend -n "__fish_tracemend_using_subcommand check" -l insecure -d 'Believe any certificate'
complete -c tracemend -n "__fish_tracemend_using_subcommand check" -l allow-partial -d 'Judge partial input as if it were whole'
complete -c tracemend -n "__fish_tracemend_using_subcommand check" -l exit-zero -d 'Return 0 in place of 1; every other code stays'
complete -c tracemend -n "__fish_tracemend_using_subcommand check" -l ascii -d 'Draw with ASCII characters only'
complete -c tracemend -n "__fish_tracemend_using_subcommand check" -l no-progress -d 'No progress on stderr'
complete -c tracemend -n "__fish_tracemend_using_subcommand check" -s q -l quiet -d 'Less: -q prints findings only, -qq nothing'
complete -c tracemend -n "__fish_tracemend_using_subcommand check" -s v -l verbose -d 'More: every evidence, every input, longer examples, every request to a backend'
complete -c tracemend -n "__fish_tracemend_using_subcommand check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c tracemend -n "__fish_tracemend_using_subcommand show" -l input-format -d 'Format of every input, in place of detection (see `tracemend formats`)' -r -f -a "jaeger-json\t''
jaeger-es-json\t''
zipkin-json\t''
signoz-trace\t''
signoz-waterfall\t''
signoz-rows\t''
signoz-table\t''
clickhouse-otel-traces\t''
clickhouse-otel-traces-table\t''
clickhouse-jaeger-spans\t''
clickhouse-jaeger-spans-table\t''
go-stdout-json\t''
python-console-json\t''
zipkin-v1-json\t''
data-prepper-json\t''
jaeger-v3-json\t''
grafana-tempo-json\t''
tempo-json\t''
otlp-json\t''
otlp-protobuf-frames\t''
otlp-protobuf\t''
otlp-protobuf-delimited\t''"
complete -c tracemend -n "__fish_tracemend_using_subcommand show" -l max-depth -d 'Deepest nesting that is read [default: 128]' -r
complete -c tracemend -n "__fish_tracemend_using_subcommand show" -l max-string -d 'Longest string that is read [default: 16MiB]' -r
complete -c tracemend -n "__fish_tracemend_using_subcommand show" -l max-record -d 'Longest single record that is read [default: 256MiB]' -r
complete -c tracemend -n "__fish_tracemend_using_subcommand show" -l max-decompressed -d 'Most bytes that a compressed input may become [default: 64GiB]' -r
complete -c tracemend -n "__fish_tracemend_using_subcommand show" -l spool-limit -d 'Most bytes kept, compressed, in a private temporary file of input that cannot be read twice [default: 1GiB]' -r
complete -c tracemend -n "__fish_tracemend_using_subcommand show" -l service -d 'Files: judge spans of this service only, other spans still count as parents. Backends: fetch the traces in which it takes part (repeatable)' -r
complete -c tracemend -n "__fish_tracemend_using_subcommand show" -l since -d 'The last part only, such as 15m or 1h30m. Files: counted from their newest span. Backends: counted from now [default for backends: 1h]' -r
complete -c tracemend -n "__fish_tracemend_using_subcommand show" -l from -d 'Spans that start at this time or later: RFC 3339, a date, or a Unix time' -r
complete -c tracemend -n "__fish_tracemend_using_subcommand show" -l to -d 'Spans that start before this time' -r
complete -c tracemend -n "__fish_tracemend_using_subcommand show" -l env -d 'Judge this deployment.environment.name only (repeatable)' -r
complete -c tracemend -n "__fish_tracemend_using_subcommand show" -l jaeger -d 'Ask the query API of Jaeger, such as http://localhost:16686' -r
complete -c tracemend -n "__fish_tracemend_using_subcommand show" -l signoz -d 'Ask SigNoz, such as http://localhost:8080' -r
complete -c tracemend -n "__fish_tracemend_using_subcommand show" -l operation -d 'Fetch traces with this operation' -r
complete -c tracemend -n "__fish_tracemend_using_subcommand show" -l tag -d 'Fetch traces with a span that has this attribute (repeatable)' -r
complete -c tracemend -n "__fish_tracemend_using_subcommand show" -l min-duration -d 'Fetch traces with a span of this duration or longer, such as 500ms' -r
complete -c tracemend -n "__fish_tracemend_using_subcommand show" -l limit -d 'Most traces to fetch; they come whole [default: 1000]' -r
complete -c tracemend -n "__fish_tracemend_using_subcommand show" -l max-spans -d 'Fetch no further trace after so many spans [default: 10000000]' -r
complete -c tracemend -n "__fish_tracemend_using_subcommand show" -l deadline -d 'Longest time for fetching; what came until then is reported [default: 60s]' -r
complete -c tracemend -n "__fish_tracemend_using_subcommand show" -l settle -d 'Do not judge traces that ended so short a time ago: spans may still come [default: 30s]' -r
complete -c tracemend -n "__fish_tracemend_using_subcommand show" -l tenant -d 'Tenant to ask for' -r
complete -c tracemend -n "__fish_tracemend_using_subcommand show" -l tenant-header -d 'Header that names the tenant [default: that of the backend]' -r
complete -c tracemend -n "__fish_tracemend_using_subcommand show" -l bearer-token-file -d 'File with a bearer token; or set TRACEMEND_BEARER_TOKEN' -r -F
complete -c tracemend -n "__fish_tracemend_using_subcommand show" -l basic-auth-file -d 'File with user:password; or set TRACEMEND_BASIC_AUTH' -r -F
complete -c tracemend -n "__fish_tracemend_using_subcommand show" -l api-key-file -d 'File with an API key of SigNoz; or set SIGNOZ_API_KEY' -r -F
complete -c tracemend -n "__fish_tracemend_using_subcommand show" -l header-file -d 'File with further headers, one `Name: value` a line; or set TRACEMEND_HEADERS' -r -F
complete -c tracemend -n "__fish_tracemend_using_subcommand show" -l color -d 'Colour' -r -f -a "auto\t'On terminals, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c tracemend -n "__fish_tracemend_using_subcommand show" -l demo -d 'Look into the sample that comes with the program'
complete -c tracemend -n "__fish_tracemend_using_subcommand show" -l insecure -d 'Believe any certificate'
complete -c tracemend -n "__fish_tracemend_using_subcommand show" -l plain -d 'Draw the trace as it is in the data, without proposed parents'
complete -c tracemend -n "__fish_tracemend_using_subcommand show" -l ascii -d 'Draw with ASCII characters only'
complete -c tracemend -n "__fish_tracemend_using_subcommand show" -l no-progress -d 'No progress on stderr'
complete -c tracemend -n "__fish_tracemend_using_subcommand show" -s v -l verbose -d 'More: the attributes of every span, every request to a backend'
complete -c tracemend -n "__fish_tracemend_using_subcommand show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c tracemend -n "__fish_tracemend_using_subcommand demo" -l format -d 'Format of the report' -r -f -a "table\t''
concise\t''
json\t''"
complete -c tracemend -n "__fish_tracemend_using_subcommand demo" -s o -l output -d 'Write the report to a file instead of stdout' -r -F
complete -c tracemend -n "__fish_tracemend_using_subcommand demo" -l report -d 'Write a further report, such as json=report.json (repeatable)' -r
complete -c tracemend -n "__fish_tracemend_using_subcommand demo" -l top -d 'How many findings the table shows in detail' -r
complete -c tracemend -n "__fish_tracemend_using_subcommand demo" -l trace-url -d 'Page of a trace in your backend, for links' -r
complete -c tracemend -n "__fish_tracemend_using_subcommand demo" -l color -d 'Colour' -r -f -a "auto\t'On terminals, unless `NO_COLOR` is set'
always\t'Always'
never\t'Never'"
complete -c tracemend -n "__fish_tracemend_using_subcommand demo" -l ascii -d 'Draw with ASCII characters only'
complete -c tracemend -n "__fish_tracemend_using_subcommand demo" -l no-progress -d 'No progress on stderr'
complete -c tracemend -n "__fish_tracemend_using_subcommand demo" -s q -l quiet -d 'Less: -q prints findings only, -qq nothing'
complete -c tracemend -n "__fish_tracemend_using_subcommand demo" -s v -l verbose -d 'More: every evidence, every input, longer examples, every request to a backend'
complete -c tracemend -n "__fish_tracemend_using_subcommand demo" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c tracemend -n "__fish_tracemend_using_subcommand explain" -l format -d 'Format of the answer' -r -f -a "text\t'For people'
json\t'For programs'
markdown\t'For documents'"
complete -c tracemend -n "__fish_tracemend_using_subcommand explain" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c tracemend -n "__fish_tracemend_using_subcommand rules" -l format -d 'Format of the list' -r -f -a "text\t'For people'
json\t'For programs'
markdown\t'For documents'"
complete -c tracemend -n "__fish_tracemend_using_subcommand rules" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c tracemend -n "__fish_tracemend_using_subcommand formats" -l format -d 'Format of the list' -r -f -a "text\t'For people'
json\t'For programs'
markdown\t'For documents'"
complete -c tracemend -n "__fish_tracemend_using_subcommand formats" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c tracemend -n "__fish_tracemend_using_subcommand completions" -s h -l help -d 'Print help'
complete -c tracemend -n "__fish_tracemend_using_subcommand help; and not __fish_seen_subcommand_from check show demo explain rules formats completions help" -f -a "check" -d 'Diagnose exported traces; `tracemend INPUT…` does the same'
complete -c tracemend -n "__fish_tracemend_using_subcommand help; and not __fish_seen_subcommand_from check show demo explain rules formats completions help" -f -a "show" -d 'Show one trace as a tree'
complete -c tracemend -n "__fish_tracemend_using_subcommand help; and not __fish_seen_subcommand_from check show demo explain rules formats completions help" -f -a "demo" -d 'Diagnose a small sample that comes with the program'
complete -c tracemend -n "__fish_tracemend_using_subcommand help; and not __fish_seen_subcommand_from check show demo explain rules formats completions help" -f -a "explain" -d 'Explain a rule or a cause: what it is, how it is told, how to fix it'
complete -c tracemend -n "__fish_tracemend_using_subcommand help; and not __fish_seen_subcommand_from check show demo explain rules formats completions help" -f -a "rules" -d 'List the rules'
complete -c tracemend -n "__fish_tracemend_using_subcommand help; and not __fish_seen_subcommand_from check show demo explain rules formats completions help" -f -a "formats" -d 'List the input formats'
complete -c tracemend -n "__fish_tracemend_using_subcommand help; and not __fish_seen_subcommand_from check show demo explain rules formats completions help" -f -a "completions" -d 'Print a completion script for a shell'
complete -c tracemend -n "__fish_tracemend_using_subcommand help; and not __fish_seen_subcommand_from check show demo explain rules formats completions help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
