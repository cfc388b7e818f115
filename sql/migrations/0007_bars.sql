-- Our bars, at four intervals, and the verdicts on them.

create table bars_1m (
    instrument text collate "C" not null,
    bar_start timestamptz not null,
    open numeric not null,
    high numeric not null,
    low numeric not null,
    close numeric not null,
    volume numeric not null,
    quote_volume numeric not null,
    vwap numeric,
    trade_count bigint not null,
    taker_buy_volume numeric not null,
    taker_buy_quote_volume numeric not null,
    first_sequence bigint not null,
    last_sequence bigint not null,
    is_complete boolean not null,
    known_at timestamptz not null,
    constraint bars_1m_key primary key (instrument, bar_start),
    constraint bars_1m_bounds check (low <= least(open, close) and high >= greatest(open, close)),
    constraint bars_1m_grid check (bar_start = date_bin('1 minute', bar_start, timestamptz '2000-01-01 00:00:00+00'))
);
comment on table bars_1m is
'One row per instrument and 1m interval with trades, made from raw_trades. Exact; an interval without trades has no row.';
comment on column bars_1m.instrument is 'Venue and symbol, as in binance:BTCUSDT.';
comment on column bars_1m.bar_start is 'Start of the bar, inclusive; its end is excluded. [UTC]';
comment on column bars_1m.open is 'Price of the first trade by (event_time, sequence). [quote asset]';
comment on column bars_1m.high is 'Highest price. [quote asset]';
comment on column bars_1m.low is 'Lowest price. [quote asset]';
comment on column bars_1m.close is 'Price of the last trade by (event_time, sequence). [quote asset]';
comment on column bars_1m.volume is 'Exact sum of sizes. [base asset or contracts]';
comment on column bars_1m.quote_volume is 'Exact sum of price * size. [quote asset]';
comment on column bars_1m.vwap is 'quote_volume / volume to 12 decimals, half away from zero; null when volume is 0. [quote asset]';
comment on column bars_1m.trade_count is 'Number of trades. [trades]';
comment on column bars_1m.taker_buy_volume is 'Exact sum of sizes bought by the aggressor. [base asset or contracts]';
comment on column bars_1m.taker_buy_quote_volume is 'Exact sum of price * size bought by the aggressor. [quote asset]';
comment on column bars_1m.first_sequence is 'Sequence of the trade that gave open.';
comment on column bars_1m.last_sequence is 'Sequence of the trade that gave close.';
comment on column bars_1m.is_complete is 'The tape spans the whole bar and nothing inside is missing that is not accepted.';
comment on column bars_1m.known_at is 'When the platform could first serve these values. [UTC]';
grant select on bars_1m to rrr_analyst;
grant select, insert, update, delete on bars_1m to rrr_writer;

create index bars_1m_bar_start on bars_1m using brin (bar_start);

create table bars_5m (
    instrument text collate "C" not null,
    bar_start timestamptz not null,
    open numeric not null,
    high numeric not null,
    low numeric not null,
    close numeric not null,
    volume numeric not null,
    quote_volume numeric not null,
    vwap numeric,
    trade_count bigint not null,
    taker_buy_volume numeric not null,
    taker_buy_quote_volume numeric not null,
    first_sequence bigint not null,
    last_sequence bigint not null,
    is_complete boolean not null,
    known_at timestamptz not null,
    constraint bars_5m_key primary key (instrument, bar_start),
    constraint bars_5m_bounds check (low <= least(open, close) and high >= greatest(open, close)),
    constraint bars_5m_grid check (bar_start = date_bin('5 minutes', bar_start, timestamptz '2000-01-01 00:00:00+00'))
);
comment on table bars_5m is
'One row per instrument and 5m interval with trades, made from bars_1m. Exact; an interval without trades has no row.';
comment on column bars_5m.instrument is 'Venue and symbol, as in binance:BTCUSDT.';
comment on column bars_5m.bar_start is 'Start of the bar, inclusive; its end is excluded. [UTC]';
comment on column bars_5m.open is 'Price of the first trade by (event_time, sequence). [quote asset]';
comment on column bars_5m.high is 'Highest price. [quote asset]';
comment on column bars_5m.low is 'Lowest price. [quote asset]';
comment on column bars_5m.close is 'Price of the last trade by (event_time, sequence). [quote asset]';
comment on column bars_5m.volume is 'Exact sum of sizes. [base asset or contracts]';
comment on column bars_5m.quote_volume is 'Exact sum of price * size. [quote asset]';
comment on column bars_5m.vwap is 'quote_volume / volume to 12 decimals, half away from zero; null when volume is 0. [quote asset]';
comment on column bars_5m.trade_count is 'Number of trades. [trades]';
comment on column bars_5m.taker_buy_volume is 'Exact sum of sizes bought by the aggressor. [base asset or contracts]';
comment on column bars_5m.taker_buy_quote_volume is 'Exact sum of price * size bought by the aggressor. [quote asset]';
comment on column bars_5m.first_sequence is 'Sequence of the trade that gave open.';
comment on column bars_5m.last_sequence is 'Sequence of the trade that gave close.';
comment on column bars_5m.is_complete is 'The tape spans the whole bar and nothing inside is missing that is not accepted.';
comment on column bars_5m.known_at is 'When the platform could first serve these values. [UTC]';
grant select on bars_5m to rrr_analyst;
grant select, insert, update, delete on bars_5m to rrr_writer;

create index bars_5m_bar_start on bars_5m using brin (bar_start);

create table bars_1h (
    instrument text collate "C" not null,
    bar_start timestamptz not null,
    open numeric not null,
    high numeric not null,
    low numeric not null,
    close numeric not null,
    volume numeric not null,
    quote_volume numeric not null,
    vwap numeric,
    trade_count bigint not null,
    taker_buy_volume numeric not null,
    taker_buy_quote_volume numeric not null,
    first_sequence bigint not null,
    last_sequence bigint not null,
    is_complete boolean not null,
    known_at timestamptz not null,
    constraint bars_1h_key primary key (instrument, bar_start),
    constraint bars_1h_bounds check (low <= least(open, close) and high >= greatest(open, close)),
    constraint bars_1h_grid check (bar_start = date_bin('1 hour', bar_start, timestamptz '2000-01-01 00:00:00+00'))
);
comment on table bars_1h is
'One row per instrument and 1h interval with trades, made from bars_5m. Exact; an interval without trades has no row.';
comment on column bars_1h.instrument is 'Venue and symbol, as in binance:BTCUSDT.';
comment on column bars_1h.bar_start is 'Start of the bar, inclusive; its end is excluded. [UTC]';
comment on column bars_1h.open is 'Price of the first trade by (event_time, sequence). [quote asset]';
comment on column bars_1h.high is 'Highest price. [quote asset]';
comment on column bars_1h.low is 'Lowest price. [quote asset]';
comment on column bars_1h.close is 'Price of the last trade by (event_time, sequence). [quote asset]';
comment on column bars_1h.volume is 'Exact sum of sizes. [base asset or contracts]';
comment on column bars_1h.quote_volume is 'Exact sum of price * size. [quote asset]';
comment on column bars_1h.vwap is 'quote_volume / volume to 12 decimals, half away from zero; null when volume is 0. [quote asset]';
comment on column bars_1h.trade_count is 'Number of trades. [trades]';
comment on column bars_1h.taker_buy_volume is 'Exact sum of sizes bought by the aggressor. [base asset or contracts]';
comment on column bars_1h.taker_buy_quote_volume is 'Exact sum of price * size bought by the aggressor. [quote asset]';
comment on column bars_1h.first_sequence is 'Sequence of the trade that gave open.';
comment on column bars_1h.last_sequence is 'Sequence of the trade that gave close.';
comment on column bars_1h.is_complete is 'The tape spans the whole bar and nothing inside is missing that is not accepted.';
comment on column bars_1h.known_at is 'When the platform could first serve these values. [UTC]';
grant select on bars_1h to rrr_analyst;
grant select, insert, update, delete on bars_1h to rrr_writer;

create index bars_1h_bar_start on bars_1h using brin (bar_start);

create table bars_1d (
    instrument text collate "C" not null,
    bar_start timestamptz not null,
    open numeric not null,
    high numeric not null,
    low numeric not null,
    close numeric not null,
    volume numeric not null,
    quote_volume numeric not null,
    vwap numeric,
    trade_count bigint not null,
    taker_buy_volume numeric not null,
    taker_buy_quote_volume numeric not null,
    first_sequence bigint not null,
    last_sequence bigint not null,
    is_complete boolean not null,
    known_at timestamptz not null,
    constraint bars_1d_key primary key (instrument, bar_start),
    constraint bars_1d_bounds check (low <= least(open, close) and high >= greatest(open, close)),
    constraint bars_1d_grid check (bar_start = date_bin('1 day', bar_start, timestamptz '2000-01-01 00:00:00+00'))
);
comment on table bars_1d is
'One row per instrument and 1d interval with trades, made from bars_1h. Exact; an interval without trades has no row.';
comment on column bars_1d.instrument is 'Venue and symbol, as in binance:BTCUSDT.';
comment on column bars_1d.bar_start is 'Start of the bar, inclusive; its end is excluded. [UTC]';
comment on column bars_1d.open is 'Price of the first trade by (event_time, sequence). [quote asset]';
comment on column bars_1d.high is 'Highest price. [quote asset]';
comment on column bars_1d.low is 'Lowest price. [quote asset]';
comment on column bars_1d.close is 'Price of the last trade by (event_time, sequence). [quote asset]';
comment on column bars_1d.volume is 'Exact sum of sizes. [base asset or contracts]';
comment on column bars_1d.quote_volume is 'Exact sum of price * size. [quote asset]';
comment on column bars_1d.vwap is 'quote_volume / volume to 12 decimals, half away from zero; null when volume is 0. [quote asset]';
comment on column bars_1d.trade_count is 'Number of trades. [trades]';
comment on column bars_1d.taker_buy_volume is 'Exact sum of sizes bought by the aggressor. [base asset or contracts]';
comment on column bars_1d.taker_buy_quote_volume is 'Exact sum of price * size bought by the aggressor. [quote asset]';
comment on column bars_1d.first_sequence is 'Sequence of the trade that gave open.';
comment on column bars_1d.last_sequence is 'Sequence of the trade that gave close.';
comment on column bars_1d.is_complete is 'The tape spans the whole bar and nothing inside is missing that is not accepted.';
comment on column bars_1d.known_at is 'When the platform could first serve these values. [UTC]';
grant select on bars_1d to rrr_analyst;
grant select, insert, update, delete on bars_1d to rrr_writer;

create index bars_1d_bar_start on bars_1d using brin (bar_start);

create table bar_conformance (
    instrument text collate "C" not null,
    interval text collate "C" not null,
    bar_start timestamptz not null,
    status text not null,
    rule text,
    fields text[],
    ours jsonb,
    theirs jsonb,
    known_at timestamptz not null,
    constraint bar_conformance_key primary key (instrument, interval, bar_start),
    constraint bar_conformance_status_accepted check (status in ('equal', 'explained', 'uncovered', 'unexplained'))
);
comment on table bar_conformance is
'Our bars against the venues'' own, over all fields: equal, explained by a named rule, uncovered, or unexplained.';
comment on column bar_conformance.instrument is 'Venue and symbol, as in binance:BTCUSDT.';
comment on column bar_conformance.interval is 'Length of the bar.';
comment on column bar_conformance.bar_start is 'Start of the bar. [UTC]';
comment on column bar_conformance.status is 'The verdict.';
comment on column bar_conformance.rule is 'The venue''s rule that explains it, or why it is uncovered.';
comment on column bar_conformance.fields is 'Fields that differ as stored.';
comment on column bar_conformance.ours is 'Our values, as plain strings, where not equal; null where we have no bar.';
comment on column bar_conformance.theirs is 'The venue''s values, as plain strings, where not equal; null where it has no bar.';
comment on column bar_conformance.known_at is 'When this verdict was reached. [UTC]';
grant select on bar_conformance to rrr_analyst;
grant select, insert, update, delete on bar_conformance to rrr_writer;
