
use builtin;
use str;

set edit:completion:arg-completer[tracemend] = {|@words|
    fn spaces {|n|
        builtin:repeat $n ' ' | str:join ''
    }
    fn cand {|text desc|
        edit:complex-candidate $text &display=$text' '(spaces (- 14 (wcswidth $text)))$desc
    }
    var command = 'tracemend'
    for word $words[1..-1] {
        if (str:has-prefix $word '-') {
            break
        }
        set command = $command';'$word
    }
    var completions = [
        &'tracemend'= {
            cand --input-format 'Format of every input, in place of detection (see `tracemend formats`)'
            cand --max-depth 'Deepest nesting that is read [default: 128]'
            cand --max-string 'Longest string that is read [default: 16MiB]'
            cand --max-record 'Longest single record that is read [default: 256MiB]'
            cand --max-decompressed 'Most bytes that a compressed input may become [default: 64GiB]'
            cand --spool-limit 'Most bytes kept, compressed, in a private temporary file of input that cannot be read twice [default: 1GiB]'
            cand --service 'Files: judge spans of this service only, other spans still count as parents. Backends: fetch the traces in which it takes part (repeatable)'
            cand --since 'The last part only, such as 15m or 1h30m. Files: counted from their newest span. Backends: counted from now [default for backends: 1h]'
            cand --from 'Spans that start at this time or later: RFC 3339, a date, or a Unix time'
            cand --to 'Spans that start before this time'
            cand --env 'Judge this deployment.environment.name only (repeatable)'
            cand --trace-id 'Judge this trace only; a backend is asked for it by its id (repeatable)'
            cand --jaeger 'Ask the query API of Jaeger, such as http://localhost:16686'
            cand --signoz 'Ask SigNoz, such as http://localhost:8080'
            cand --operation 'Fetch traces with this operation'
            cand --tag 'Fetch traces with a span that has this attribute (repeatable)'
            cand --min-duration 'Fetch traces with a span of this duration or longer, such as 500ms'
            cand --limit 'Most traces to fetch; they come whole [default: 1000]'
            cand --max-spans 'Fetch no further trace after so many spans [default: 10000000]'
            cand --deadline 'Longest time for fetching; what came until then is reported [default: 60s]'
            cand --settle 'Do not judge traces that ended so short a time ago: spans may still come [default: 30s]'
            cand --tenant 'Tenant to ask for'
            cand --tenant-header 'Header that names the tenant [default: that of the backend]'
            cand --bearer-token-file 'File with a bearer token; or set TRACEMEND_BEARER_TOKEN'
            cand --basic-auth-file 'File with user:password; or set TRACEMEND_BASIC_AUTH'
            cand --api-key-file 'File with an API key of SigNoz; or set SIGNOZ_API_KEY'
            cand --header-file 'File with further headers, one `Name: value` a line; or set TRACEMEND_HEADERS'
            cand --threads 'Number of threads [default: one per core]'
            cand --occurrences 'How many affected spans each finding lists'
            cand --fail-on 'Least severity that makes the exit code 1'
            cand --min-confidence 'Least confidence that makes the exit code 1'
            cand --min-traces 'Fewer traces are inconclusive (exit code 3)'
            cand --max-rejects 'Share of spans or bytes that may be unreadable before the run is inconclusive'
            cand --ignore 'Ignore a rule, everywhere or for one service (repeatable)'
            cand --format 'Format of the report'
            cand -o 'Write the report to a file instead of stdout'
            cand --output 'Write the report to a file instead of stdout'
            cand --report 'Write a further report, such as json=report.json (repeatable)'
            cand --top 'How many findings the table shows in detail'
            cand --trace-url 'Page of a trace in your backend, for links'
            cand --color 'Colour'
            cand --relink 'Write every trace that has a finding, whole, as OTLP JSON lines, with each proposed parent as a span link'
            cand --insecure 'Believe any certificate'
            cand --allow-partial 'Judge partial input as if it were whole'
            cand --exit-zero 'Return 0 in place of 1; every other code stays'
            cand --ascii 'Draw with ASCII characters only'
            cand --no-progress 'No progress on stderr'
            cand -q 'Less: -q prints findings only, -qq nothing'
            cand --quiet 'Less: -q prints findings only, -qq nothing'
            cand -v 'More: every evidence, every input, longer examples, every request to a backend'
            cand --verbose 'More: every evidence, every input, longer examples, every request to a backend'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
            cand -V 'Print version'
            cand --version 'Print version'
            cand check 'Diagnose exported traces; `tracemend INPUT…` does the same'
            cand show 'Show one trace as a tree'
            cand demo 'Diagnose a small sample that comes with the program'
            cand explain 'Explain a rule or a cause: what it is, how it is told, how to fix it'
            cand rules 'List the rules'
            cand formats 'List the input formats'
            cand completions 'Print a completion script for a shell'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'tracemend;check'= {
            cand --input-format 'Format of every input, in place of detection (see `tracemend formats`)'
            cand --max-depth 'Deepest nesting that is read [default: 128]'
            cand --max-string 'Longest string that is read [default: 16MiB]'
            cand --max-record 'Longest single record that is read [default: 256MiB]'
            cand --max-decompressed 'Most bytes that a compressed input may become [default: 64GiB]'
            cand --spool-limit 'Most bytes kept, compressed, in a private temporary file of input that cannot be read twice [default: 1GiB]'
            cand --service 'Files: judge spans of this service only, other spans still count as parents. Backends: fetch the traces in which it takes part (repeatable)'
            cand --since 'The last part only, such as 15m or 1h30m. Files: counted from their newest span. Backends: counted from now [default for backends: 1h]'
            cand --from 'Spans that start at this time or later: RFC 3339, a date, or a Unix time'
            cand --to 'Spans that start before this time'
            cand --env 'Judge this deployment.environment.name only (repeatable)'
            cand --trace-id 'Judge this trace only; a backend is asked for it by its id (repeatable)'
            cand --jaeger 'Ask the query API of Jaeger, such as http://localhost:16686'
            cand --signoz 'Ask SigNoz, such as http://localhost:8080'
            cand --operation 'Fetch traces with this operation'
            cand --tag 'Fetch traces with a span that has this attribute (repeatable)'
            cand --min-duration 'Fetch traces with a span of this duration or longer, such as 500ms'
            cand --limit 'Most traces to fetch; they come whole [default: 1000]'
            cand --max-spans 'Fetch no further trace after so many spans [default: 10000000]'
            cand --deadline 'Longest time for fetching; what came until then is reported [default: 60s]'
            cand --settle 'Do not judge traces that ended so short a time ago: spans may still come [default: 30s]'
            cand --tenant 'Tenant to ask for'
            cand --tenant-header 'Header that names the tenant [default: that of the backend]'
            cand --bearer-token-file 'File with a bearer token; or set TRACEMEND_BEARER_TOKEN'
            cand --basic-auth-file 'File with user:password; or set TRACEMEND_BASIC_AUTH'
            cand --api-key-file 'File with an API key of SigNoz; or set SIGNOZ_API_KEY'
            cand --header-file 'File with further headers, one `Name: value` a line; or set TRACEMEND_HEADERS'
            cand --threads 'Number of threads [default: one per core]'
            cand --occurrences 'How many affected spans each finding lists'
            cand --fail-on 'Least severity that makes the exit code 1'
            cand --min-confidence 'Least confidence that makes the exit code 1'
            cand --min-traces 'Fewer traces are inconclusive (exit code 3)'
            cand --max-rejects 'Share of spans or bytes that may be unreadable before the run is inconclusive'
            cand --ignore 'Ignore a rule, everywhere or for one service (repeatable)'
            cand --format 'Format of the report'
            cand -o 'Write the report to a file instead of stdout'
            cand --output 'Write the report to a file instead of stdout'
            cand --report 'Write a further report, such as json=report.json (repeatable)'
            cand --top 'How many findings the table shows in detail'
            cand --trace-url 'Page of a trace in your backend, for links'
            cand --color 'Colour'
            cand --relink 'Write every trace that has a finding, whole, as OTLP JSON lines, with each proposed parent as a span link'
            cand --insecure 'Believe any certificate'
            cand --allow-partial 'Judge partial input as if it were whole'
            cand --exit-zero 'Return 0 in place of 1; every other code stays'
            cand --ascii 'Draw with ASCII characters only'
            cand --no-progress 'No progress on stderr'
            cand -q 'Less: -q prints findings only, -qq nothing'
            cand --quiet 'Less: -q prints findings only, -qq nothing'
            cand -v 'More: every evidence, every input, longer examples, every request to a backend'
            cand --verbose 'More: every evidence, every input, longer examples, every request to a backend'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'tracemend;show'= {
            cand --input-format 'Format of every input, in place of detection (see `tracemend formats`)'
            cand --max-depth 'Deepest nesting that is read [default: 128]'
            cand --max-string 'Longest string that is read [default: 16MiB]'
            cand --max-record 'Longest single record that is read [default: 256MiB]'
            cand --max-decompressed 'Most bytes that a compressed input may become [default: 64GiB]'
            cand --spool-limit 'Most bytes kept, compressed, in a private temporary file of input that cannot be read twice [default: 1GiB]'
            cand --service 'Files: judge spans of this service only, other spans still count as parents. Backends: fetch the traces in which it takes part (repeatable)'
            cand --since 'The last part only, such as 15m or 1h30m. Files: counted from their newest span. Backends: counted from now [default for backends: 1h]'
            cand --from 'Spans that start at this time or later: RFC 3339, a date, or a Unix time'
            cand --to 'Spans that start before this time'
            cand --env 'Judge this deployment.environment.name only (repeatable)'
            cand --jaeger 'Ask the query API of Jaeger, such as http://localhost:16686'
            cand --signoz 'Ask SigNoz, such as http://localhost:8080'
            cand --operation 'Fetch traces with this operation'
            cand --tag 'Fetch traces with a span that has this attribute (repeatable)'
            cand --min-duration 'Fetch traces with a span of this duration or longer, such as 500ms'
            cand --limit 'Most traces to fetch; they come whole [default: 1000]'
            cand --max-spans 'Fetch no further trace after so many spans [default: 10000000]'
            cand --deadline 'Longest time for fetching; what came until then is reported [default: 60s]'
            cand --settle 'Do not judge traces that ended so short a time ago: spans may still come [default: 30s]'
            cand --tenant 'Tenant to ask for'
            cand --tenant-header 'Header that names the tenant [default: that of the backend]'
            cand --bearer-token-file 'File with a bearer token; or set TRACEMEND_BEARER_TOKEN'
            cand --basic-auth-file 'File with user:password; or set TRACEMEND_BASIC_AUTH'
            cand --api-key-file 'File with an API key of SigNoz; or set SIGNOZ_API_KEY'
            cand --header-file 'File with further headers, one `Name: value` a line; or set TRACEMEND_HEADERS'
            cand --color 'Colour'
            cand --demo 'Look into the sample that comes with the program'
            cand --insecure 'Believe any certificate'
            cand --plain 'Draw the trace as it is in the data, without proposed parents'
            cand --ascii 'Draw with ASCII characters only'
            cand --no-progress 'No progress on stderr'
            cand -v 'More: the attributes of every span, every request to a backend'
            cand --verbose 'More: the attributes of every span, every request to a backend'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'tracemend;demo'= {
            cand --format 'Format of the report'
            cand -o 'Write the report to a file instead of stdout'
            cand --output 'Write the report to a file instead of stdout'
            cand --report 'Write a further report, such as json=report.json (repeatable)'
            cand --top 'How many findings the table shows in detail'
            cand --trace-url 'Page of a trace in your backend, for links'
            cand --color 'Colour'
            cand --ascii 'Draw with ASCII characters only'
            cand --no-progress 'No progress on stderr'
            cand -q 'Less: -q prints findings only, -qq nothing'
            cand --quiet 'Less: -q prints findings only, -qq nothing'
            cand -v 'More: every evidence, every input, longer examples, every request to a backend'
            cand --verbose 'More: every evidence, every input, longer examples, every request to a backend'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'tracemend;explain'= {
            cand --format 'Format of the answer'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'tracemend;rules'= {
            cand --format 'Format of the list'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'tracemend;formats'= {
            cand --format 'Format of the list'
            cand -h 'Print help (see more with ''--help'')'
            cand --help 'Print help (see more with ''--help'')'
        }
        &'tracemend;completions'= {
            cand -h 'Print help'
            cand --help 'Print help'
        }
        &'tracemend;help'= {
            cand check 'Diagnose exported traces; `tracemend INPUT…` does the same'
            cand show 'Show one trace as a tree'
            cand demo 'Diagnose a small sample that comes with the program'
            cand explain 'Explain a rule or a cause: what it is, how it is told, how to fix it'
            cand rules 'List the rules'
            cand formats 'List the input formats'
            cand completions 'Print a completion script for a shell'
            cand help 'Print this message or the help of the given subcommand(s)'
        }
        &'tracemend;help;check'= {
        }
        &'tracemend;help;show'= {
        }
        &'tracemend;help;demo'= {
        }
        &'tracemend;help;explain'= {
        }
        &'tracemend;help;rules'= {
        }
        &'tracemend;help;formats'= {
        }
        &'tracemend;help;completions'= {
        }
        &'tracemend;help;help'= {
        }
    ]
    $completions[$command]
}
