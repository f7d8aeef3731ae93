# Completion of ballast(1) for bash.
_ballast() {
    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} subcommand="" i
    local options="--config --json --quiet --help"
    local subcommands="migrate rebuild get history balanceat open credit debit transfer mtransfer
        reverse hold capture release canspend charge suspend resume setfloor close explain status
        top doctor era import reconcile sweep incidents fuse cache accept-timeline"

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
    mtransfer | setfloor | close | release | resume) options+=" KEY" ;;
    hold) options+=" KEY TTL" ;;
    capture) options+=" KEY TO" ;;
    suspend) options+=" KEY IFBELOW" ;;
    charge) options+=" begin settle list KEY THRESHOLD succeeded failed unknown" ;;
    sweep) options+=" --dry-run" ;;
    incidents) options+=" --since --until" ;;
    fuse) options+=" reset charges suspensions --reason" ;;
    reverse) options+=" KEY AMOUNT" ;;
    history) options+=" BEFORE COUNT" ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$options" -- "$word")
}
complete -F _ballast ballast
