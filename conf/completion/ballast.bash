# Completion of ballast(1) for bash.
_ballast() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} subcommand="" i
    local options="--config --json --quiet --help"
    local subcommands="migrate rebuild get history balanceat open credit debit transfer mtransfer
        reverse setfloor close explain status top doctor era import reconcile cache accept-timeline"

    COMPREPLY=()
    for ((i = 1; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
        -c | --config) i=$((i + 1)) ;;
        -*) ;;
        *)
            subcommand=${COMP_WORDS[i]}
            break
            ;;
        esac
    done

    case $before in
    -c | --config | --report)
        mapfile -t COMPREPLY < <(compgen -f -- "$word")
        return
        ;;
    esac
    case $subcommand in
    "") options+=" --version $subcommands" ;;
    migrate) options+=" --plan" ;;
    rebuild) options+=" --account --dry-run --rate --no-wait" ;;
    reconcile) options+=" --repair --sample --report" ;;
    import)
        options+=" --asset --floor --window --patience"
        if [[ $word != -* ]]; then
            mapfile -t COMPREPLY < <(compgen -f -- "$word")
            return
        fi
        ;;
    cache) options+=" off on" ;;
    top) options+=" --once --interval" ;;
    open) options+=" FLOOR" ;;
    credit) options+=" KEY FROM MEMO" ;;
    debit) options+=" KEY TO MEMO" ;;
    transfer) options+=" KEY MEMO" ;;
    mtransfer | setfloor | close) options+=" KEY" ;;
    reverse) options+=" KEY AMOUNT" ;;
    history) options+=" BEFORE COUNT" ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$options" -- "$word")
}
complete -F _ballast ballast
