-- Where one instrument's recomputed bars wait to be compared with those that stand.
create temporary table if not exists fresh_bars (
    instrument text collate "C" not null,
    bar_start timestamptz not null,
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
    is_complete boolean not null default false
) on commit drop;
truncate fresh_bars;
