-- What was known when: bars that were replaced are kept, and every answer can be asked as of a knowledge time.

create table bar_revisions (
    revision_id bigint generated always as identity not null,
    interval text collate "C" not null,
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
    believed_until timestamptz not null,
    constraint bar_revisions_key primary key (revision_id),
    constraint bar_revisions_interval_accepted check (interval in ('1m', '5m', '1h', '1d'))
);
comment on table bar_revisions is
'Bars as they were believed before they were refreshed, with the interval in which they were believed.';
comment on column bar_revisions.revision_id is 'Order of the revisions.';
comment on column bar_revisions.interval is 'Length of the bar.';
comment on column bar_revisions.instrument is 'Venue and symbol, as in binance:BTCUSDT.';
comment on column bar_revisions.bar_start is 'Start of the bar, inclusive; its end is excluded. [UTC]';
comment on column bar_revisions.open is 'Price of the first trade by (event_time, sequence). [quote asset]';
comment on column bar_revisions.high is 'Highest price. [quote asset]';
comment on column bar_revisions.low is 'Lowest price. [quote asset]';
comment on column bar_revisions.close is 'Price of the last trade by (event_time, sequence). [quote asset]';
comment on column bar_revisions.volume is 'Exact sum of sizes. [base asset or contracts]';
comment on column bar_revisions.quote_volume is 'Exact sum of price * size. [quote asset]';
comment on column bar_revisions.vwap is 'quote_volume / volume to 12 decimals, half away from zero; null when volume is 0. [quote asset]';
comment on column bar_revisions.trade_count is 'Number of trades. [trades]';
comment on column bar_revisions.taker_buy_volume is 'Exact sum of sizes bought by the aggressor. [base asset or contracts]';
comment on column bar_revisions.taker_buy_quote_volume is 'Exact sum of price * size bought by the aggressor. [quote asset]';
comment on column bar_revisions.first_sequence is 'Sequence of the trade that gave open.';
comment on column bar_revisions.last_sequence is 'Sequence of the trade that gave close.';
comment on column bar_revisions.is_complete is 'The tape spans the whole bar and nothing inside is missing that is not accepted.';
comment on column bar_revisions.known_at is 'When the platform could first serve these values. [UTC]';
comment on column bar_revisions.believed_until is 'known_at of what replaced it; it was believed from its own known_at until then. [UTC]';
grant select on bar_revisions to rrr_analyst;
grant select, insert on bar_revisions to rrr_writer;

create index bar_revisions_bar on bar_revisions (instrument, interval, bar_start);

create function check_knowledge_time(asked timestamptz) returns void
language plpgsql
volatile
as $$
begin
    -- An older picture of the database may lack what was committed since, though it was known in time.
    if current_setting('transaction_isolation') <> 'read committed' then
        raise exception 'what was known at a time cannot be asked in a transaction that is %', current_setting('transaction_isolation')
            using errcode = 'feature_not_supported', hint = 'Ask in a transaction that is read committed.';
    end if;
    if asked is null or asked >= knowledge_horizon() then
        raise exception 'what was known at % is not final yet', coalesce(asked::text, 'null')
            using errcode = 'object_not_in_prerequisite_state', hint = 'Ask for an earlier time, or wait for the load in flight.';
    end if;
end;
$$;
comment on function check_knowledge_time(timestamptz) is
'Refuses a knowledge time of which the answer could still change: one that is not below knowledge_horizon().';

create function trades_as_known(asked_instrument text, from_time timestamptz, to_time timestamptz, as_known_at timestamptz)
returns table (
    instrument text,
    space text,
    sequence bigint,
    event_time timestamptz,
    event_time_ns bigint,
    time_source text,
    price numeric,
    size numeric,
    side text,
    conditions text[],
    received_at timestamptz,
    available_at timestamptz,
    available_basis text,
    known_at timestamptz,
    batch_id bigint
)
language plpgsql
volatile
as $$
#variable_conflict use_column
begin
    -- First the horizon, then a new picture: what was in flight when it was looked at began after the time that is asked for.
    perform check_knowledge_time(as_known_at);
    return query
    select
        t.instrument, t.space, t.sequence, t.event_time, t.event_time_ns, t.time_source, t.price, t.size, t.side,
        t.conditions, t.received_at, t.available_at, t.available_basis, t.known_at, t.batch_id
    from raw_trades as t
    where
        t.instrument = asked_instrument and t.event_time >= from_time and t.event_time < to_time
        and t.known_at <= as_known_at
    union all
    select
        r.instrument, r.space, r.sequence, r.event_time, r.event_time_ns, r.time_source, r.price, r.size, r.side,
        r.conditions, r.received_at, r.available_at, r.available_basis, r.known_at, r.batch_id
    from trade_revisions as r
    where
        r.instrument = asked_instrument and r.event_time >= from_time and r.event_time < to_time
        and r.known_at <= as_known_at and r.believed_until > as_known_at
    order by event_time, sequence;
end;
$$;
comment on function trades_as_known(text, timestamptz, timestamptz, timestamptz) is
'The rows of raw_trades of an instrument in [from_time, to_time) as a reader would have got them at as_known_at.';

create function agg_trades_as_known(asked_instrument text, from_time timestamptz, to_time timestamptz, as_known_at timestamptz)
returns table (
    instrument text,
    space text,
    sequence bigint,
    event_time timestamptz,
    event_time_ns bigint,
    time_source text,
    price numeric,
    size numeric,
    side text,
    conditions text[],
    first_trade_id bigint,
    last_trade_id bigint,
    received_at timestamptz,
    available_at timestamptz,
    available_basis text,
    known_at timestamptz,
    batch_id bigint
)
language plpgsql
volatile
as $$
#variable_conflict use_column
begin
    -- First the horizon, then a new picture: what was in flight when it was looked at began after the time that is asked for.
    perform check_knowledge_time(as_known_at);
    return query
    select
        t.instrument, t.space, t.sequence, t.event_time, t.event_time_ns, t.time_source, t.price, t.size, t.side,
        t.conditions, t.first_trade_id, t.last_trade_id, t.received_at, t.available_at, t.available_basis, t.known_at,
        t.batch_id
    from raw_agg_trades as t
    where
        t.instrument = asked_instrument and t.event_time >= from_time and t.event_time < to_time
        and t.known_at <= as_known_at
    union all
    select
        r.instrument, r.space, r.sequence, r.event_time, r.event_time_ns, r.time_source, r.price, r.size, r.side,
        r.conditions, r.first_trade_id, r.last_trade_id, r.received_at, r.available_at, r.available_basis, r.known_at,
        r.batch_id
    from agg_trade_revisions as r
    where
        r.instrument = asked_instrument and r.event_time >= from_time and r.event_time < to_time
        and r.known_at <= as_known_at and r.believed_until > as_known_at
    order by event_time, sequence;
end;
$$;
comment on function agg_trades_as_known(text, timestamptz, timestamptz, timestamptz) is
'The rows of raw_agg_trades of an instrument in [from_time, to_time) as a reader would have got them at as_known_at.';

create function quotes_as_known(asked_instrument text, from_time timestamptz, to_time timestamptz, as_known_at timestamptz)
returns table (
    instrument text,
    space text,
    sequence bigint,
    event_time timestamptz,
    event_time_ns bigint,
    time_source text,
    bid_price numeric,
    bid_size numeric,
    ask_price numeric,
    ask_size numeric,
    received_at timestamptz,
    available_at timestamptz,
    available_basis text,
    known_at timestamptz,
    batch_id bigint
)
language plpgsql
volatile
as $$
#variable_conflict use_column
begin
    -- First the horizon, then a new picture: what was in flight when it was looked at began after the time that is asked for.
    perform check_knowledge_time(as_known_at);
    return query
    select
        t.instrument, t.space, t.sequence, t.event_time, t.event_time_ns, t.time_source, t.bid_price, t.bid_size, t.ask_price,
        t.ask_size, t.received_at, t.available_at, t.available_basis, t.known_at, t.batch_id
    from raw_quotes as t
    where
        t.instrument = asked_instrument and t.event_time >= from_time and t.event_time < to_time
        and t.known_at <= as_known_at
    union all
    select
        r.instrument, r.space, r.sequence, r.event_time, r.event_time_ns, r.time_source, r.bid_price, r.bid_size, r.ask_price,
        r.ask_size, r.received_at, r.available_at, r.available_basis, r.known_at, r.batch_id
    from quote_revisions as r
    where
        r.instrument = asked_instrument and r.event_time >= from_time and r.event_time < to_time
        and r.known_at <= as_known_at and r.believed_until > as_known_at
    order by event_time, sequence;
end;
$$;
comment on function quotes_as_known(text, timestamptz, timestamptz, timestamptz) is
'The rows of raw_quotes of an instrument in [from_time, to_time) as a reader would have got them at as_known_at.';

create function bars_as_known(
    asked_interval text, asked_instrument text, from_time timestamptz, to_time timestamptz, as_known_at timestamptz
)
returns table (
    instrument text,
    bar_start timestamptz,
    open numeric,
    high numeric,
    low numeric,
    close numeric,
    volume numeric,
    quote_volume numeric,
    vwap numeric,
    trade_count bigint,
    taker_buy_volume numeric,
    taker_buy_quote_volume numeric,
    first_sequence bigint,
    last_sequence bigint,
    is_complete boolean,
    known_at timestamptz
)
language plpgsql
volatile
as $$
#variable_conflict use_column
begin
    if asked_interval not in ('1m', '5m', '1h', '1d') then
        raise exception 'there are no bars of %', asked_interval using hint = 'There are 1m, 5m, 1h, 1d.';
    end if;
    perform check_knowledge_time(as_known_at);
    return query execute format(
        'select
        b.instrument, b.bar_start, b.open, b.high, b.low, b.close, b.volume, b.quote_volume, b.vwap, b.trade_count,
        b.taker_buy_volume, b.taker_buy_quote_volume, b.first_sequence, b.last_sequence, b.is_complete, b.known_at
        from %I as b
        where b.instrument = $1 and b.bar_start >= $2 and b.bar_start < $3 and b.known_at <= $4
        union all
        select
        r.instrument, r.bar_start, r.open, r.high, r.low, r.close, r.volume, r.quote_volume, r.vwap, r.trade_count,
        r.taker_buy_volume, r.taker_buy_quote_volume, r.first_sequence, r.last_sequence, r.is_complete, r.known_at
        from bar_revisions as r
        where
            r.instrument = $1 and r.interval = $5 and r.bar_start >= $2 and r.bar_start < $3
            and r.known_at <= $4 and r.believed_until > $4
        order by bar_start',
        'bars_' || asked_interval
    ) using asked_instrument, from_time, to_time, as_known_at, asked_interval;
end;
$$;
comment on function bars_as_known(text, text, timestamptz, timestamptz, timestamptz) is
'Our bars of an instrument that start in [from_time, to_time), as a reader would have got them at as_known_at.';

grant execute on function
check_knowledge_time(timestamptz),
trades_as_known(text, timestamptz, timestamptz, timestamptz),
agg_trades_as_known(text, timestamptz, timestamptz, timestamptz),
quotes_as_known(text, timestamptz, timestamptz, timestamptz),
bars_as_known(text, text, timestamptz, timestamptz, timestamptz)
to rrr_analyst, rrr_writer;
