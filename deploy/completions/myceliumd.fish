# fish completion of myceliumd
set -l commands run check init status health key outbox push signals simulate features nernst completions man
complete -c myceliumd -f
complete -c myceliumd -n "not __fish_seen_subcommand_from $commands" -a run -d 'simulate, serve and deliver until stopped'
complete -c myceliumd -n "not __fish_seen_subcommand_from $commands" -a check -d 'validate a configuration'
complete -c myceliumd -n "not __fish_seen_subcommand_from $commands" -a simulate -d 'run a field now and print its features'
complete -c myceliumd -n "not __fish_seen_subcommand_from $commands" -a init -d 'print a configuration with every key as a comment'
complete -c myceliumd -n "not __fish_seen_subcommand_from $commands" -a status -d 'what a running daemon does, in words'
complete -c myceliumd -n "not __fish_seen_subcommand_from $commands" -a features -d 'features of a stored history or frame'
complete -c myceliumd -n "not __fish_seen_subcommand_from $commands" -a nernst -d 'equilibrium potential of an ion'
complete -c myceliumd -n "not __fish_seen_subcommand_from $commands" -a outbox -d 'records to be delivered and dead letters'
complete -c myceliumd -n "not __fish_seen_subcommand_from $commands" -a key -d 'create an API key, or show the one the daemon created'
complete -c myceliumd -n "not __fish_seen_subcommand_from $commands" -a health -d 'health of a running daemon'
complete -c myceliumd -n "not __fish_seen_subcommand_from $commands" -a push -d 'send lines of JSON as events'
complete -c myceliumd -n "not __fish_seen_subcommand_from $commands" -a signals -d 'features and spikes of a measured signal'
complete -c myceliumd -n "not __fish_seen_subcommand_from $commands" -a completions -d 'completions of a shell'
complete -c myceliumd -n "not __fish_seen_subcommand_from $commands" -a man -d 'the manual page'
complete -c myceliumd -s h -l help -d help
complete -c myceliumd -s V -l version -d version

complete -c myceliumd -n "not __fish_seen_subcommand_from init status simulate features nernst key health push signals completions man" -l config -r -F -d configuration
complete -c myceliumd -n "not __fish_seen_subcommand_from check init status simulate features nernst health push signals completions man" -l data-dir -x -a '(__fish_complete_directories)' -d 'state directory'
complete -c myceliumd -n "not __fish_seen_subcommand_from check init status simulate features nernst outbox key health push signals completions man" -l listen -x -d 'address to listen on'

set -l field '__fish_seen_subcommand_from simulate'
complete -c myceliumd -n $field -l grid -x -d 'cells along one edge'
complete -c myceliumd -n $field -l steps -x
complete -c myceliumd -n $field -l seed -x
complete -c myceliumd -n $field -l model -x -a 'excitable turing gray_scott mfn'
complete -c myceliumd -n $field -l precision -x -a 'f32 f64'
complete -c myceliumd -n $field -l alpha -x -d 'diffusion number of the potential'
complete -c myceliumd -n $field -l preset -x -a 'alpha beta epsilon theta lambda'
complete -c myceliumd -n $field -l no-turing -d 'leave activator and inhibitor untouched'
complete -c myceliumd -n $field -l jitter-variance -x
complete -c myceliumd -n $field -l spike-probability -x
complete -c myceliumd -n $field -l set -x -d 'NAME=NUMBER of [sim]'
complete -c myceliumd -n $field -l init -r -F -d 'start from a state'
complete -c myceliumd -n $field -l spikes -r -F -d 'events to apply'
complete -c myceliumd -n $field -l state -r -F -d 'write the last state'
complete -c myceliumd -n $field -l history -r -F -d 'write the potential over time'
complete -c myceliumd -n $field -l every -x -d 'steps between frames'
complete -c myceliumd -n $field -l format -x -a 'json csv ndjson'
complete -c myceliumd -n $field -l sweep -r -F -d 'many runs'
complete -c myceliumd -n $field -l out -r -F -d 'table of the sweep'

set -l both '__fish_seen_subcommand_from simulate features'
complete -c myceliumd -n $both -l threshold -x -a 'otsu fixed: quantile:'
complete -c myceliumd -n $both -l boundary -x -a 'periodic neumann dirichlet'
complete -c myceliumd -n $both -l connectivity -x -a '4 8'
complete -c myceliumd -n $both -l window -x
complete -c myceliumd -n '__fish_seen_subcommand_from simulate features nernst' -l compat -x -a 4.1
complete -c myceliumd -n '__fish_seen_subcommand_from features' -l each -d 'one line per frame'
complete -c myceliumd -n '__fish_seen_subcommand_from features' -F

set -l ion '__fish_seen_subcommand_from nernst'
complete -c myceliumd -n $ion -l z -x -a '-2 -1 1 2'
complete -c myceliumd -n $ion -l out -x -d 'mol/L outside'
complete -c myceliumd -n $ion -l in -x -d 'mol/L inside'
complete -c myceliumd -n $ion -l temperature -x -d kelvin

set -l outbox '__fish_seen_subcommand_from outbox'
complete -c myceliumd -n $outbox -a 'list verify dead replay drop'
complete -c myceliumd -n $outbox -l all -d 'every dead letter'
complete -c myceliumd -n '__fish_seen_subcommand_from init' -l out -r -F -d 'file to write'
complete -c myceliumd -n '__fish_seen_subcommand_from status' -l json -d 'print the response as it is'
complete -c myceliumd -n '__fish_seen_subcommand_from completions' -a 'bash zsh fish'
complete -c myceliumd -n '__fish_seen_subcommand_from key' -a 'new show'
complete -c myceliumd -n '__fish_seen_subcommand_from key' -l name -x
complete -c myceliumd -n '__fish_seen_subcommand_from key' -l scope -x -a 'read write admin'
complete -c myceliumd -n '__fish_seen_subcommand_from health' -s v -l verbose -d 'print the whole status'
complete -c myceliumd -n '__fish_seen_subcommand_from health' -l deliveries -d 'fail if an endpoint is disabled or failing'
complete -c myceliumd -n '__fish_seen_subcommand_from health status' -l key-file -r -F -d 'a key of scope read'
complete -c myceliumd -n '__fish_seen_subcommand_from push' -l type -x -d 'type of lines that are no CloudEvents'
complete -c myceliumd -n '__fish_seen_subcommand_from push' -l socket -r -F -d 'Unix socket of the daemon'
complete -c myceliumd -n '__fish_seen_subcommand_from push' -l url -x -d 'address of the daemon'
complete -c myceliumd -n '__fish_seen_subcommand_from push' -l key-file -r -F -d 'a key of scope write'
set -l signals '__fish_seen_subcommand_from signals'
complete -c myceliumd -n $signals -l time -x -d 'column of the times'
complete -c myceliumd -n $signals -l column -x -d 'column of the values'
complete -c myceliumd -n $signals -l set -x -d 'KEY=VALUE of an input'
complete -c myceliumd -n $signals -l events -d 'spikes and samples too'
complete -c myceliumd -n $signals -F
