# bash completion of myceliumd
_myceliumd() {
    local cur=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} command=run word
    COMPREPLY=()
    for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
        case $word in run | check | init | status | health | key | outbox | push | signals | simulate | features | nernst | completions | man) command=$word; break ;; esac
    done
    local choices
    case $previous in
        --config | --key-file | --socket | --sweep | --init | --spikes | --state | --history)
            mapfile -t COMPREPLY < <(compgen -f -- "$cur")
            return
            ;;
        --data-dir)
            mapfile -t COMPREPLY < <(compgen -d -- "$cur")
            return
            ;;
        --out)
            [ "$command" = nernst ] || mapfile -t COMPREPLY < <(compgen -f -- "$cur")
            return
            ;;
        --model) choices="excitable turing gray_scott mfn" ;;
        --preset) choices="alpha beta epsilon theta lambda" ;;
        --precision) choices="f32 f64" ;;
        --boundary) choices="periodic neumann dirichlet" ;;
        --connectivity) choices="4 8" ;;
        --compat) choices="4.1" ;;
        --format) choices="json csv ndjson" ;;
        --threshold) choices="otsu fixed: quantile:" ;;
        --scope) choices="read write admin" ;;
        --z) choices="-2 -1 1 2" ;;
        --listen | --grid | --steps | --seed | --alpha | --jitter-variance | --spike-probability | --set | --every | --window | \
            --in | --temperature | --name | --time | --column) return ;;
        *)
            case $command in
                run) choices="--config --data-dir --listen" ;;
                check) choices="--config" ;;
                simulate) choices="--grid --steps --seed --model --precision --boundary --alpha --preset --no-turing --jitter-variance --spike-probability --set --init --spikes --state --history --every --threshold --connectivity --window --compat --format --sweep --out" ;;
                features) choices="--each --threshold --boundary --connectivity --window --compat" ;;
                nernst) choices="--z --out --in --temperature --compat" ;;
                init) choices="--out" ;;
                status) choices="--json --key-file" ;;
                outbox) choices="list verify dead replay drop --all --data-dir --config" ;;
                key) choices="new show --name --scope --data-dir" ;;
                health) choices="--verbose --deliveries --key-file" ;;
                completions) choices="bash zsh fish" ;;
                push) choices="--type --socket --url --key-file" ;;
                signals) choices="--time --column --set --events" ;;
            esac
            [ "$COMP_CWORD" -gt 1 ] || choices="run check init status health key outbox push signals simulate features nernst completions man --version $choices"
            choices="$choices --help"
            if [ "$command" = features ] && [[ $cur != -* ]]; then
                mapfile -t COMPREPLY < <(compgen -f -X '!*.npy' -- "$cur")
                return
            fi
            if [ "$command" = signals ] && [[ $cur != -* ]]; then
                mapfile -t COMPREPLY < <(compgen -f -X '!*.csv' -- "$cur")
                return
            fi
            ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$choices" -- "$cur")
}
complete -F _myceliumd myceliumd
