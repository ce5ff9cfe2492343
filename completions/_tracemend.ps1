
using namespace System.Management.Automation
using namespace System.Management.Automation.Language

Register-ArgumentCompleter -Native -CommandName 'tracemend' -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)

    $commandElements = $commandAst.CommandElements
    $command = @(
        'tracemend'
        for ($i = 1; $i -lt $commandElements.Count; $i++) {
            $element = $commandElements[$i]
            if ($element -isnot [StringConstantExpressionAst] -or
                $element.StringConstantType -ne [StringConstantType]::BareWord -or
                $element.Value.StartsWith('-') -or
                $element.Value -eq $wordToComplete) {
                break
        }
        $element.Value
    }) -join ';'

    $completions = @(switch ($command) {
        'tracemend' {
            [CompletionResult]::new('--input-format', '--input-format', [CompletionResultType]::ParameterName, 'Format of every input, in place of detection (see `tracemend formats`)')
            [CompletionResult]::new('--max-depth', '--max-depth', [CompletionResultType]::ParameterName, 'Deepest nesting that is read [default: 128]')
            [CompletionResult]::new('--max-string', '--max-string', [CompletionResultType]::ParameterName, 'Longest string that is read [default: 16MiB]')
            [CompletionResult]::new('--max-record', '--max-record', [CompletionResultType]::ParameterName, 'Longest single record that is read [default: 256MiB]')
            [CompletionResult]::new('--max-decompressed', '--max-decompressed', [CompletionResultType]::ParameterName, 'Most bytes that a compressed input may become [default: 64GiB]')
            [CompletionResult]::new('--spool-limit', '--spool-limit', [CompletionResultType]::ParameterName, 'Most bytes kept, compressed, in a private temporary file of input that cannot be read twice [default: 1GiB]')
            [CompletionResult]::new('--service', '--service', [CompletionResultType]::ParameterName, 'Files: judge spans of this service only, other spans still count as parents. Backends: fetch the traces in which it takes part (repeatable)')
            [CompletionResult]::new('--since', '--since', [CompletionResultType]::ParameterName, 'The last part only, such as 15m or 1h30m. Files: counted from their newest span. Backends: counted from now [default for backends: 1h]')
            [CompletionResult]::new('--from', '--from', [CompletionResultType]::ParameterName, 'Spans that start at this time or later: RFC 3339, a date, or a Unix time')
            [CompletionResult]::new('--to', '--to', [CompletionResultType]::ParameterName, 'Spans that start before this time')
            [CompletionResult]::new('--env', '--env', [CompletionResultType]::ParameterName, 'Judge this deployment.environment.name only (repeatable)')
            [CompletionResult]::new('--trace-id', '--trace-id', [CompletionResultType]::ParameterName, 'Judge this trace only; a backend is asked for it by its id (repeatable)')
            [CompletionResult]::new('--jaeger', '--jaeger', [CompletionResultType]::ParameterName, 'Ask the query API of Jaeger, such as http://localhost:16686')
            [CompletionResult]::new('--signoz', '--signoz', [CompletionResultType]::ParameterName, 'Ask SigNoz, such as http://localhost:8080')
            [CompletionResult]::new('--operation', '--operation', [CompletionResultType]::ParameterName, 'Fetch traces with this operation')
            [CompletionResult]::new('--tag', '--tag', [CompletionResultType]::ParameterName, 'Fetch traces with a span that has this attribute (repeatable)')
            [CompletionResult]::new('--min-duration', '--min-duration', [CompletionResultType]::ParameterName, 'Fetch traces with a span of this duration or longer, such as 500ms')
            [CompletionResult]::new('--limit', '--limit', [CompletionResultType]::ParameterName, 'Most traces to fetch; they come whole [default: 1000]')
            [CompletionResult]::new('--max-spans', '--max-spans', [CompletionResultType]::ParameterName, 'Fetch no further trace after so many spans [default: 10000000]')
            [CompletionResult]::new('--deadline', '--deadline', [CompletionResultType]::ParameterName, 'Longest time for fetching; what came until then is reported [default: 60s]')
            [CompletionResult]::new('--settle', '--settle', [CompletionResultType]::ParameterName, 'Do not judge traces that ended so short a time ago: spans may still come [default: 30s]')
            [CompletionResult]::new('--tenant', '--tenant', [CompletionResultType]::ParameterName, 'Tenant to ask for')
            [CompletionResult]::new('--tenant-header', '--tenant-header', [CompletionResultType]::ParameterName, 'Header that names the tenant [default: that of the backend]')
            [CompletionResult]::new('--bearer-token-file', '--bearer-token-file', [CompletionResultType]::ParameterName, 'File with a bearer token; or set TRACEMEND_BEARER_TOKEN')
            [CompletionResult]::new('--basic-auth-file', '--basic-auth-file', [CompletionResultType]::ParameterName, 'File with user:password; or set TRACEMEND_BASIC_AUTH')
            [CompletionResult]::new('--api-key-file', '--api-key-file', [CompletionResultType]::ParameterName, 'File with an API key of SigNoz; or set SIGNOZ_API_KEY')
            [CompletionResult]::new('--header-file', '--header-file', [CompletionResultType]::ParameterName, 'File with further headers, one `Name: value` a line; or set TRACEMEND_HEADERS')
            [CompletionResult]::new('--threads', '--threads', [CompletionResultType]::ParameterName, 'Number of threads [default: one per core]')
            [CompletionResult]::new('--occurrences', '--occurrences', [CompletionResultType]::ParameterName, 'How many affected spans each finding lists')
            [CompletionResult]::new('--fail-on', '--fail-on', [CompletionResultType]::ParameterName, 'Least severity that makes the exit code 1')
            [CompletionResult]::new('--min-confidence', '--min-confidence', [CompletionResultType]::ParameterName, 'Least confidence that makes the exit code 1')
            [CompletionResult]::new('--min-traces', '--min-traces', [CompletionResultType]::ParameterName, 'Fewer traces are inconclusive (exit code 3)')
            [CompletionResult]::new('--max-rejects', '--max-rejects', [CompletionResultType]::ParameterName, 'Share of spans or bytes that may be unreadable before the run is inconclusive')
            [CompletionResult]::new('--ignore', '--ignore', [CompletionResultType]::ParameterName, 'Ignore a rule, everywhere or for one service (repeatable)')
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'Format of the report')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'Write the report to a file instead of stdout')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'Write the report to a file instead of stdout')
            [CompletionResult]::new('--report', '--report', [CompletionResultType]::ParameterName, 'Write a further report, such as json=report.json (repeatable)')
            [CompletionResult]::new('--top', '--top', [CompletionResultType]::ParameterName, 'How many findings the table shows in detail')
            [CompletionResult]::new('--trace-url', '--trace-url', [CompletionResultType]::ParameterName, 'Page of a trace in your backend, for links')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour')
            [CompletionResult]::new('--relink', '--relink', [CompletionResultType]::ParameterName, 'Write every trace that has a finding, whole, as OTLP JSON lines, with each proposed parent as a span link')
            [CompletionResult]::new('--insecure', '--insecure', [CompletionResultType]::ParameterName, 'Believe any certificate')
            [CompletionResult]::new('--allow-partial', '--allow-partial', [CompletionResultType]::ParameterName, 'Judge partial input as if it were whole')
            [CompletionResult]::new('--exit-zero', '--exit-zero', [CompletionResultType]::ParameterName, 'Return 0 in place of 1; every other code stays')
            [CompletionResult]::new('--ascii', '--ascii', [CompletionResultType]::ParameterName, 'Draw with ASCII characters only')
            [CompletionResult]::new('--no-progress', '--no-progress', [CompletionResultType]::ParameterName, 'No progress on stderr')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Less: -q prints findings only, -qq nothing')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Less: -q prints findings only, -qq nothing')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'More: every evidence, every input, longer examples, every request to a backend')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'More: every evidence, every input, longer examples, every request to a backend')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('check', 'check', [CompletionResultType]::ParameterValue, 'Diagnose exported traces; `tracemend INPUT…` does the same')
            [CompletionResult]::new('show', 'show', [CompletionResultType]::ParameterValue, 'Show one trace as a tree')
            [CompletionResult]::new('demo', 'demo', [CompletionResultType]::ParameterValue, 'Diagnose a small sample that comes with the program')
            [CompletionResult]::new('explain', 'explain', [CompletionResultType]::ParameterValue, 'Explain a rule or a cause: what it is, how it is told, how to fix it')
            [CompletionResult]::new('rules', 'rules', [CompletionResultType]::ParameterValue, 'List the rules')
            [CompletionResult]::new('formats', 'formats', [CompletionResultType]::ParameterValue, 'List the input formats')
            [CompletionResult]::new('completions', 'completions', [CompletionResultType]::ParameterValue, 'Print a completion script for a shell')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'tracemend;check' {
            [CompletionResult]::new('--input-format', '--input-format', [CompletionResultType]::ParameterName, 'Format of every input, in place of detection (see `tracemend formats`)')
            [CompletionResult]::new('--max-depth', '--max-depth', [CompletionResultType]::ParameterName, 'Deepest nesting that is read [default: 128]')
            [CompletionResult]::new('--max-string', '--max-string', [CompletionResultType]::ParameterName, 'Longest string that is read [default: 16MiB]')
            [CompletionResult]::new('--max-record', '--max-record', [CompletionResultType]::ParameterName, 'Longest single record that is read [default: 256MiB]')
            [CompletionResult]::new('--max-decompressed', '--max-decompressed', [CompletionResultType]::ParameterName, 'Most bytes that a compressed input may become [default: 64GiB]')
            [CompletionResult]::new('--spool-limit', '--spool-limit', [CompletionResultType]::ParameterName, 'Most bytes kept, compressed, in a private temporary file of input that cannot be read twice [default: 1GiB]')
            [CompletionResult]::new('--service', '--service', [CompletionResultType]::ParameterName, 'Files: judge spans of this service only, other spans still count as parents. Backends: fetch the traces in which it takes part (repeatable)')
            [CompletionResult]::new('--since', '--since', [CompletionResultType]::ParameterName, 'The last part only, such as 15m or 1h30m. Files: counted from their newest span. Backends: counted from now [default for backends: 1h]')
            [CompletionResult]::new('--from', '--from', [CompletionResultType]::ParameterName, 'Spans that start at this time or later: RFC 3339, a date, or a Unix time')
            [CompletionResult]::new('--to', '--to', [CompletionResultType]::ParameterName, 'Spans that start before this time')
            [CompletionResult]::new('--env', '--env', [CompletionResultType]::ParameterName, 'Judge this deployment.environment.name only (repeatable)')
            [CompletionResult]::new('--trace-id', '--trace-id', [CompletionResultType]::ParameterName, 'Judge this trace only; a backend is asked for it by its id (repeatable)')
            [CompletionResult]::new('--jaeger', '--jaeger', [CompletionResultType]::ParameterName, 'Ask the query API of Jaeger, such as http://localhost:16686')
            [CompletionResult]::new('--signoz', '--signoz', [CompletionResultType]::ParameterName, 'Ask SigNoz, such as http://localhost:8080')
            [CompletionResult]::new('--operation', '--operation', [CompletionResultType]::ParameterName, 'Fetch traces with this operation')
            [CompletionResult]::new('--tag', '--tag', [CompletionResultType]::ParameterName, 'Fetch traces with a span that has this attribute (repeatable)')
            [CompletionResult]::new('--min-duration', '--min-duration', [CompletionResultType]::ParameterName, 'Fetch traces with a span of this duration or longer, such as 500ms')
            [CompletionResult]::new('--limit', '--limit', [CompletionResultType]::ParameterName, 'Most traces to fetch; they come whole [default: 1000]')
            [CompletionResult]::new('--max-spans', '--max-spans', [CompletionResultType]::ParameterName, 'Fetch no further trace after so many spans [default: 10000000]')
            [CompletionResult]::new('--deadline', '--deadline', [CompletionResultType]::ParameterName, 'Longest time for fetching; what came until then is reported [default: 60s]')
            [CompletionResult]::new('--settle', '--settle', [CompletionResultType]::ParameterName, 'Do not judge traces that ended so short a time ago: spans may still come [default: 30s]')
            [CompletionResult]::new('--tenant', '--tenant', [CompletionResultType]::ParameterName, 'Tenant to ask for')
            [CompletionResult]::new('--tenant-header', '--tenant-header', [CompletionResultType]::ParameterName, 'Header that names the tenant [default: that of the backend]')
            [CompletionResult]::new('--bearer-token-file', '--bearer-token-file', [CompletionResultType]::ParameterName, 'File with a bearer token; or set TRACEMEND_BEARER_TOKEN')
            [CompletionResult]::new('--basic-auth-file', '--basic-auth-file', [CompletionResultType]::ParameterName, 'File with user:password; or set TRACEMEND_BASIC_AUTH')
            [CompletionResult]::new('--api-key-file', '--api-key-file', [CompletionResultType]::ParameterName, 'File with an API key of SigNoz; or set SIGNOZ_API_KEY')
            [CompletionResult]::new('--header-file', '--header-file', [CompletionResultType]::ParameterName, 'File with further headers, one `Name: value` a line; or set TRACEMEND_HEADERS')
            [CompletionResult]::new('--threads', '--threads', [CompletionResultType]::ParameterName, 'Number of threads [default: one per core]')
            [CompletionResult]::new('--occurrences', '--occurrences', [CompletionResultType]::ParameterName, 'How many affected spans each finding lists')
            [CompletionResult]::new('--fail-on', '--fail-on', [CompletionResultType]::ParameterName, 'Least severity that makes the exit code 1')
            [CompletionResult]::new('--min-confidence', '--min-confidence', [CompletionResultType]::ParameterName, 'Least confidence that makes the exit code 1')
            [CompletionResult]::new('--min-traces', '--min-traces', [CompletionResultType]::ParameterName, 'Fewer traces are inconclusive (exit code 3)')
            [CompletionResult]::new('--max-rejects', '--max-rejects', [CompletionResultType]::ParameterName, 'Share of spans or bytes that may be unreadable before the run is inconclusive')
            [CompletionResult]::new('--ignore', '--ignore', [CompletionResultType]::ParameterName, 'Ignore a rule, everywhere or for one service (repeatable)')
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'Format of the report')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'Write the report to a file instead of stdout')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'Write the report to a file instead of stdout')
            [CompletionResult]::new('--report', '--report', [CompletionResultType]::ParameterName, 'Write a further report, such as json=report.json (repeatable)')
            [CompletionResult]::new('--top', '--top', [CompletionResultType]::ParameterName, 'How many findings the table shows in detail')
            [CompletionResult]::new('--trace-url', '--trace-url', [CompletionResultType]::ParameterName, 'Page of a trace in your backend, for links')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour')
            [CompletionResult]::new('--relink', '--relink', [CompletionResultType]::ParameterName, 'Write every trace that has a finding, whole, as OTLP JSON lines, with each proposed parent as a span link')
            [CompletionResult]::new('--insecure', '--insecure', [CompletionResultType]::ParameterName, 'Believe any certificate')
            [CompletionResult]::new('--allow-partial', '--allow-partial', [CompletionResultType]::ParameterName, 'Judge partial input as if it were whole')
            [CompletionResult]::new('--exit-zero', '--exit-zero', [CompletionResultType]::ParameterName, 'Return 0 in place of 1; every other code stays')
            [CompletionResult]::new('--ascii', '--ascii', [CompletionResultType]::ParameterName, 'Draw with ASCII characters only')
            [CompletionResult]::new('--no-progress', '--no-progress', [CompletionResultType]::ParameterName, 'No progress on stderr')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Less: -q prints findings only, -qq nothing')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Less: -q prints findings only, -qq nothing')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'More: every evidence, every input, longer examples, every request to a backend')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'More: every evidence, every input, longer examples, every request to a backend')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'tracemend;show' {
            [CompletionResult]::new('--input-format', '--input-format', [CompletionResultType]::ParameterName, 'Format of every input, in place of detection (see `tracemend formats`)')
            [CompletionResult]::new('--max-depth', '--max-depth', [CompletionResultType]::ParameterName, 'Deepest nesting that is read [default: 128]')
            [CompletionResult]::new('--max-string', '--max-string', [CompletionResultType]::ParameterName, 'Longest string that is read [default: 16MiB]')
            [CompletionResult]::new('--max-record', '--max-record', [CompletionResultType]::ParameterName, 'Longest single record that is read [default: 256MiB]')
            [CompletionResult]::new('--max-decompressed', '--max-decompressed', [CompletionResultType]::ParameterName, 'Most bytes that a compressed input may become [default: 64GiB]')
            [CompletionResult]::new('--spool-limit', '--spool-limit', [CompletionResultType]::ParameterName, 'Most bytes kept, compressed, in a private temporary file of input that cannot be read twice [default: 1GiB]')
            [CompletionResult]::new('--service', '--service', [CompletionResultType]::ParameterName, 'Files: judge spans of this service only, other spans still count as parents. Backends: fetch the traces in which it takes part (repeatable)')
            [CompletionResult]::new('--since', '--since', [CompletionResultType]::ParameterName, 'The last part only, such as 15m or 1h30m. Files: counted from their newest span. Backends: counted from now [default for backends: 1h]')
            [CompletionResult]::new('--from', '--from', [CompletionResultType]::ParameterName, 'Spans that start at this time or later: RFC 3339, a date, or a Unix time')
            [CompletionResult]::new('--to', '--to', [CompletionResultType]::ParameterName, 'Spans that start before this time')
            [CompletionResult]::new('--env', '--env', [CompletionResultType]::ParameterName, 'Judge this deployment.environment.name only (repeatable)')
            [CompletionResult]::new('--jaeger', '--jaeger', [CompletionResultType]::ParameterName, 'Ask the query API of Jaeger, such as http://localhost:16686')
            [CompletionResult]::new('--signoz', '--signoz', [CompletionResultType]::ParameterName, 'Ask SigNoz, such as http://localhost:8080')
            [CompletionResult]::new('--operation', '--operation', [CompletionResultType]::ParameterName, 'Fetch traces with this operation')
            [CompletionResult]::new('--tag', '--tag', [CompletionResultType]::ParameterName, 'Fetch traces with a span that has this attribute (repeatable)')
            [CompletionResult]::new('--min-duration', '--min-duration', [CompletionResultType]::ParameterName, 'Fetch traces with a span of this duration or longer, such as 500ms')
            [CompletionResult]::new('--limit', '--limit', [CompletionResultType]::ParameterName, 'Most traces to fetch; they come whole [default: 1000]')
            [CompletionResult]::new('--max-spans', '--max-spans', [CompletionResultType]::ParameterName, 'Fetch no further trace after so many spans [default: 10000000]')
            [CompletionResult]::new('--deadline', '--deadline', [CompletionResultType]::ParameterName, 'Longest time for fetching; what came until then is reported [default: 60s]')
            [CompletionResult]::new('--settle', '--settle', [CompletionResultType]::ParameterName, 'Do not judge traces that ended so short a time ago: spans may still come [default: 30s]')
            [CompletionResult]::new('--tenant', '--tenant', [CompletionResultType]::ParameterName, 'Tenant to ask for')
            [CompletionResult]::new('--tenant-header', '--tenant-header', [CompletionResultType]::ParameterName, 'Header that names the tenant [default: that of the backend]')
            [CompletionResult]::new('--bearer-token-file', '--bearer-token-file', [CompletionResultType]::ParameterName, 'File with a bearer token; or set TRACEMEND_BEARER_TOKEN')
            [CompletionResult]::new('--basic-auth-file', '--basic-auth-file', [CompletionResultType]::ParameterName, 'File with user:password; or set TRACEMEND_BASIC_AUTH')
            [CompletionResult]::new('--api-key-file', '--api-key-file', [CompletionResultType]::ParameterName, 'File with an API key of SigNoz; or set SIGNOZ_API_KEY')
            [CompletionResult]::new('--header-file', '--header-file', [CompletionResultType]::ParameterName, 'File with further headers, one `Name: value` a line; or set TRACEMEND_HEADERS')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour')
            [CompletionResult]::new('--demo', '--demo', [CompletionResultType]::ParameterName, 'Look into the sample that comes with the program')
            [CompletionResult]::new('--insecure', '--insecure', [CompletionResultType]::ParameterName, 'Believe any certificate')
            [CompletionResult]::new('--plain', '--plain', [CompletionResultType]::ParameterName, 'Draw the trace as it is in the data, without proposed parents')
            [CompletionResult]::new('--ascii', '--ascii', [CompletionResultType]::ParameterName, 'Draw with ASCII characters only')
            [CompletionResult]::new('--no-progress', '--no-progress', [CompletionResultType]::ParameterName, 'No progress on stderr')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'More: the attributes of every span, every request to a backend')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'More: the attributes of every span, every request to a backend')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'tracemend;demo' {
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'Format of the report')
            [CompletionResult]::new('-o', '-o', [CompletionResultType]::ParameterName, 'Write the report to a file instead of stdout')
            [CompletionResult]::new('--output', '--output', [CompletionResultType]::ParameterName, 'Write the report to a file instead of stdout')
            [CompletionResult]::new('--report', '--report', [CompletionResultType]::ParameterName, 'Write a further report, such as json=report.json (repeatable)')
            [CompletionResult]::new('--top', '--top', [CompletionResultType]::ParameterName, 'How many findings the table shows in detail')
            [CompletionResult]::new('--trace-url', '--trace-url', [CompletionResultType]::ParameterName, 'Page of a trace in your backend, for links')
            [CompletionResult]::new('--color', '--color', [CompletionResultType]::ParameterName, 'Colour')
            [CompletionResult]::new('--ascii', '--ascii', [CompletionResultType]::ParameterName, 'Draw with ASCII characters only')
            [CompletionResult]::new('--no-progress', '--no-progress', [CompletionResultType]::ParameterName, 'No progress on stderr')
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Less: -q prints findings only, -qq nothing')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Less: -q prints findings only, -qq nothing')
            [CompletionResult]::new('-v', '-v', [CompletionResultType]::ParameterName, 'More: every evidence, every input, longer examples, every request to a backend')
            [CompletionResult]::new('--verbose', '--verbose', [CompletionResultType]::ParameterName, 'More: every evidence, every input, longer examples, every request to a backend')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'tracemend;explain' {
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'Format of the answer')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'tracemend;rules' {
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'Format of the list')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'tracemend;formats' {
            [CompletionResult]::new('--format', '--format', [CompletionResultType]::ParameterName, 'Format of the list')
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help (see more with ''--help'')')
            break
        }
        'tracemend;completions' {
            [CompletionResult]::new('-h', '-h', [CompletionResultType]::ParameterName, 'Print help')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Print help')
            break
        }
        'tracemend;help' {
            [CompletionResult]::new('check', 'check', [CompletionResultType]::ParameterValue, 'Diagnose exported traces; `tracemend INPUT…` does the same')
            [CompletionResult]::new('show', 'show', [CompletionResultType]::ParameterValue, 'Show one trace as a tree')
            [CompletionResult]::new('demo', 'demo', [CompletionResultType]::ParameterValue, 'Diagnose a small sample that comes with the program')
            [CompletionResult]::new('explain', 'explain', [CompletionResultType]::ParameterValue, 'Explain a rule or a cause: what it is, how it is told, how to fix it')
            [CompletionResult]::new('rules', 'rules', [CompletionResultType]::ParameterValue, 'List the rules')
            [CompletionResult]::new('formats', 'formats', [CompletionResultType]::ParameterValue, 'List the input formats')
            [CompletionResult]::new('completions', 'completions', [CompletionResultType]::ParameterValue, 'Print a completion script for a shell')
            [CompletionResult]::new('help', 'help', [CompletionResultType]::ParameterValue, 'Print this message or the help of the given subcommand(s)')
            break
        }
        'tracemend;help;check' {
            break
        }
        'tracemend;help;show' {
            break
        }
        'tracemend;help;demo' {
            break
        }
        'tracemend;help;explain' {
            break
        }
        'tracemend;help;rules' {
            break
        }
        'tracemend;help;formats' {
            break
        }
        'tracemend;help;completions' {
            break
        }
        'tracemend;help;help' {
            break
        }
    })

    $completions.Where{ $_.CompletionText -like "$wordToComplete*" } |
        Sort-Object -Property ListItemText
}
