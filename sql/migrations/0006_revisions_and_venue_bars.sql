-- What was believed before, and what the venues publish themselves.

create table trade_revisions (
    revision_id bigint generated always as identity not null,
    instrument text collate "C" not null,
    space text collate "C" not null,
    sequence bigint not null,
    event_time timestamptz not null,
    event_time_ns bigint,
    time_source text not null,
    price numeric not null,
    size numeric not null,
    side text,
    conditions text[],
    received_at timestamptz,
    available_at timestamptz not null,
    available_basis text not null,
    known_at timestamptz not null,
    batch_id bigint not null,
    kind text not null,
    believed_until timestamptz not null,
    ended_by_batch_id bigint not null,
    constraint trade_revisions_key primary key (revision_id),
    constraint trade_revisions_space_accepted check (space in ('trade_id', 'aggregate_id', 'ordinal')),
    constraint trade_revisions_time_source_accepted check (time_source in ('venue', 'local')),
    constraint trade_revisions_side_accepted check (side in ('buy', 'sell')),
    constraint trade_revisions_available_basis_accepted check (available_basis in ('observed', 'modelled')),
    constraint trade_revisions_kind_accepted check (kind in ('finer_time', 'correction', 'cancellation', 'undo'))
);
comment on table trade_revisions is
'Trades as they were believed before something replaced or cancelled them, with the interval in which they were believed.';
comment on column trade_revisions.revision_id is 'Order of the revisions.';
comment on column trade_revisions.instrument is 'Venue and symbol, as in binance:BTCUSDT.';
comment on column trade_revisions.space is
'Which identity `sequence` is: the venue''s trade id, its aggregate id, or the order in the source.';
comment on column trade_revisions.sequence is 'The venue''s id; in space `ordinal`, microseconds * 4096 + ordinal among equal times.';
comment on column trade_revisions.event_time is 'When the venue matched the trade. [UTC]';
comment on column trade_revisions.event_time_ns is 'The venue''s own time where it is finer than a microsecond. [ns since 1970-01-01 UTC]';
comment on column trade_revisions.time_source is 'Whose clock event_time is.';
comment on column trade_revisions.price is 'Price of one unit of size, exact. [quote asset]';
comment on column trade_revisions.size is 'Quantity, exact; contracts on inverse futures. [base asset or contracts]';
comment on column trade_revisions.side is 'Aggressor: who took liquidity. Null where the venue does not say.';
comment on column trade_revisions.conditions is 'The venue''s own remarks on the trade, sorted; null where there are none.';
comment on column trade_revisions.received_at is 'When the recording machine had it, by that machine''s clock. [UTC]';
comment on column trade_revisions.available_at is
'When it could be used: received_at plus the batch''s clock offset, else event_time plus publication delay. [UTC]';
comment on column trade_revisions.available_basis is 'Whether available_at was observed or modelled.';
comment on column trade_revisions.known_at is 'When the platform could first serve it: one stamp per batch. [UTC]';
comment on column trade_revisions.batch_id is 'The batch in ingest_batches that brought it.';
comment on column trade_revisions.kind is 'What ended the belief.';
comment on column trade_revisions.believed_until is 'known_at of what replaced it; it was believed from its own known_at until then. [UTC]';
comment on column trade_revisions.ended_by_batch_id is 'The batch that replaced or cancelled it.';
grant select on trade_revisions to rrr_analyst;
grant select, insert on trade_revisions to rrr_writer;

create index trade_revisions_identity on trade_revisions (instrument, space, sequence);

create table venue_bars (
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
    is_closed boolean not null,
    known_at timestamptz not null,
    batch_id bigint not null,
    constraint venue_bars_key primary key (instrument, interval, bar_start),
    constraint venue_bars_bounds check (low <= least(open, close) and high >= greatest(open, close))
);
comment on table venue_bars is 'The venues'' own candles, as published: the witness that our bars are compared with.';
comment on column venue_bars.instrument is 'Venue and symbol, as in binance:BTCUSDT.';
comment on column venue_bars.interval is 'Length of the bar, as in 1m, 15m, 1h, 1d.';
comment on column venue_bars.bar_start is 'Start of the bar, inclusive. [UTC]';
comment on column venue_bars.open is 'As published. [quote asset]';
comment on column venue_bars.high is 'As published. [quote asset]';
comment on column venue_bars.low is 'As published. [quote asset]';
comment on column venue_bars.close is 'As published. [quote asset]';
comment on column venue_bars.volume is 'As published; contracts on inverse futures. [base asset or contracts]';
comment on column venue_bars.quote_volume is 'As published; null where the venue gives none. [quote asset]';
comment on column venue_bars.vwap is 'As published; null where the venue gives none. [quote asset]';
comment on column venue_bars.trade_count is 'As published; null where the venue gives none. [trades]';
comment on column venue_bars.taker_buy_volume is 'As published; null where the venue gives none. [base asset or contracts]';
comment on column venue_bars.taker_buy_quote_volume is 'As published; null where the venue gives none. [quote asset]';
comment on column venue_bars.is_closed is 'False where the venue''s bar was captured before it closed.';
comment on column venue_bars.known_at is 'When the platform could first serve these values. [UTC]';
comment on column venue_bars.batch_id is 'The batch in ingest_batches that brought it.';
grant select on venue_bars to rrr_analyst;
grant select, insert, update on venue_bars to rrr_writer;
