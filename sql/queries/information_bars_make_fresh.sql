-- Where the bars of one instrument and day wait that were made elsewhere.
create temporary table if not exists fresh_information_bars (
    rule text collate "C" not null,
    bar_index bigint not null,
    bar_start timestamptz not null,
    bar_end timestamptz not null,
    threshold numeric not null,
    open numeric not null,
    high numeric not null,
    low numeric not null,
    close numeric not null,
    volume numeric not null,
    quote_volume numeric not null,
    trade_count bigint not null,
    taker_buy_volume numeric not null,
    taker_buy_quote_volume numeric not null,
    first_sequence bigint not null,
    last_sequence bigint not null,
    is_full boolean not null
) on commit drop;
