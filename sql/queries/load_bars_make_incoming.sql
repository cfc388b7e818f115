-- Where one file's venue bars of a day wait to be judged.
create temporary table if not exists incoming_bars (
    line bigint not null,
    instrument text collate "C" not null,
    interval text collate "C" not null,
    bar_start timestamptz not null,
    open numeric not null,
    high numeric not null,
    low numeric not null,
    close numeric not null,
    volume numeric not null,
    quote_volume numeric,
    vwap numeric,
    trade_count bigint,
    taker_buy_volume numeric,
    taker_buy_quote_volume numeric,
    is_closed boolean not null
) on commit drop;
truncate incoming_bars;
drop table if exists judged_bars;
