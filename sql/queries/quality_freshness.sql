-- Looks how old the newest row of every stream is, by the ledger, and writes it down; returns each stream of which it is promised, with
-- whether it is fresh. A promise holds for the stream that an instrument's bars are made from, for those of which something was ever
-- held, and for those of an instrument that the settings name; while the instrument is listed. A time ahead of the clock is not fresh:
-- it does not say what is newest.
with promised as materialized (
    select
        i.instrument,
        p.stream,
        i.bars_stream,
        i.listed_on,
        p.is_named,
        p.tolerance_seconds,
        case
            when
                (i.listed_on <= (%(now)s::timestamptz at time zone 'UTC')::date or (i.listed_on is null and p.is_named))
                and (i.delisted_on is null or i.delisted_on > (%(now)s::timestamptz at time zone 'UTC')::date)
                then p.limit_seconds
        end as limit_seconds
    from instruments as i
    inner join
        unnest(
            %(instruments)s::text[], %(streams)s::text[], %(limits)s::double precision[], %(tolerances)s::double precision[],
            %(are_named)s::boolean[]
        ) as p (instrument, stream, limit_seconds, tolerance_seconds, is_named)
        on i.instrument = p.instrument
    where i.valid_to is null
),

newest as materialized (
    select
        p.*,
        held.last_time
    from promised as p
    left join lateral (
        select c.last_time from coverage as c
        where c.instrument = p.instrument and c.stream = p.stream and c.row_count > 0
        order by c.day desc
        limit 1
    ) as held on true
),

-- Of a stream that is listed and was never held, the day of listing is what it is late since.
aged as (
    select
        n.instrument,
        n.stream,
        n.last_time,
        n.tolerance_seconds,
        extract(epoch from %(now)s::timestamptz - n.last_time)::double precision as age_seconds,
        coalesce(
            extract(epoch from %(now)s::timestamptz - coalesce(n.last_time, n.listed_on::timestamp at time zone 'UTC'))::double precision,
            'infinity'::double precision
        ) as late_seconds,
        case when n.last_time is not null or n.stream = n.bars_stream or n.is_named then n.limit_seconds end as limit_seconds
    from newest as n
    where n.last_time is not null or n.limit_seconds is not null
),

judged as materialized (
    select
        a.*,
        a.age_seconds < -a.tolerance_seconds as is_ahead,
        case
            when a.limit_seconds is null then null
            else a.late_seconds <= a.limit_seconds and coalesce(a.age_seconds >= -a.tolerance_seconds, true)
        end as is_fresh
    from aged as a
    where a.last_time is not null or a.limit_seconds is not null
),

written as (
    insert into stream_freshness (
        instrument, stream, last_event_time, age_seconds, limit_seconds, is_fresh, looks, fresh_looks, looked_at
    )
    select
        j.instrument,
        j.stream,
        j.last_time,
        j.age_seconds,
        j.limit_seconds,
        j.is_fresh,
        (j.is_fresh is not null)::int,
        coalesce(j.is_fresh, false)::int,
        %(now)s::timestamptz
    from judged as j
    order by j.instrument, j.stream
    on conflict (instrument, stream) do update
        set
            last_event_time = excluded.last_event_time, age_seconds = excluded.age_seconds, limit_seconds = excluded.limit_seconds,
            is_fresh = excluded.is_fresh, looked_at = excluded.looked_at,
            looks = excluded.looks + case
                when (stream_freshness.looked_at at time zone 'UTC')::date = (excluded.looked_at at time zone 'UTC')::date
                    then stream_freshness.looks
                else 0
            end,
            fresh_looks = excluded.fresh_looks + case
                when (stream_freshness.looked_at at time zone 'UTC')::date = (excluded.looked_at at time zone 'UTC')::date
                    then stream_freshness.fresh_looks
                else 0
            end
    returning 1
),

-- What an instrument has no more, because it was taken back.
gone as (
    delete from stream_freshness as f
    where not exists (select 1 from judged as j where j.instrument = f.instrument and j.stream = f.stream)
    returning 1
)

select
    j.instrument,
    j.stream,
    j.last_time,
    j.age_seconds,
    j.limit_seconds,
    coalesce(j.is_ahead, false) as is_ahead,
    coalesce(j.is_fresh, true) as is_fresh
from judged as j
cross join (select (select count(*) from written) + (select count(*) from gone)) as done
where j.limit_seconds is not null
order by j.instrument, j.stream;
