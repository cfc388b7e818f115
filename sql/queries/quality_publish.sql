-- Publishes the status of instruments on days: of those days that are asked for, that changed since they were published, or whose status
-- time alone may change. What the numbers mean stands in docs/sla.md. Where rows were dropped, the status stays as it was.
with targets as materialized (
    select
        i.instrument,
        i.bars_stream,
        coalesce(t.objective, 0.999::double precision) as objective,
        make_interval(secs => coalesce(t.due_seconds, 3600::double precision)) as due_after,
        i.listed_on,
        i.delisted_on
    from instruments as i
    left join
        unnest(%(instruments)s::text[], %(objectives)s::double precision[], %(dues)s::double precision[])
            as t (instrument, objective, due_seconds)
        on i.instrument = t.instrument
    where i.valid_to is null
),

-- Everything that changed is looked at each time. What was stamped before the last time may have been committed after it: some is looked
-- at twice.
last_time as materialized (
    select coalesce(max(q.computed_at) - interval '15 minutes', timestamptz '-infinity') as since from quality_days as q
),

due as materialized (
    select
        t.instrument,
        asked.day
    from targets as t
    cross join unnest(%(days)s::date[]) as asked (day)
    union
    -- What is expected since it is listed, for as long as budgets are counted.
    select
        t.instrument,
        expected.day::date as day
    from targets as t
    cross join
        generate_series(
            greatest(t.listed_on, (%(now)s::timestamptz at time zone 'UTC')::date - %(look_back)s::int)::timestamp,
            least((%(now)s::timestamptz at time zone 'UTC')::date, t.delisted_on - 1)::timestamp,
            interval '1 day'
        ) as expected (day)
    left join quality_days as p on t.instrument = p.instrument and expected.day = p.day
    where p.day is null
    union
    select
        p.instrument,
        p.day
    from quality_days as p
    where p.status = 'pending'
    union
    select
        c.instrument,
        c.day
    from coverage as c
    left join quality_days as p on c.instrument = p.instrument and c.day = p.day
    where p.day is null or c.updated_at >= (select last_time.since from last_time)
    union
    select
        p.instrument,
        p.day
    from gaps as g
    inner join quality_days as p
        on
            g.instrument = p.instrument and g.from_time < (p.day + 1)::timestamp at time zone 'UTC'
            and g.to_time > p.day::timestamp at time zone 'UTC'
    where g.changed_at >= (select last_time.since from last_time)
    union
    select
        p.instrument,
        p.day
    from findings as f
    inner join quality_days as p on f.day = p.day and (f.instrument is null or f.instrument = p.instrument)
    where f.severity = 'page' and greatest(f.first_seen, f.resolved_at) >= (select last_time.since from last_time)
    union
    select
        p.instrument,
        p.day
    from anomalies as a
    inner join quality_days as p on a.instrument = p.instrument and p.day = (a.from_time at time zone 'UTC')::date
    where a.found_at >= (select last_time.since from last_time)
    union
    -- Verdicts come after the bars, and the bars after the trades.
    select
        p.instrument,
        p.day
    from invalidations_applied as v
    inner join quality_days as p on v.instrument = p.instrument and v.day = p.day
    where v.consumer = 'bar_conformance' and v.applied_at >= (select last_time.since from last_time)
),

looked_at as materialized (
    select
        d.instrument,
        d.day,
        d.day::timestamp at time zone 'UTC' as day_start,
        (d.day + 1)::timestamp at time zone 'UTC' as day_end,
        t.bars_stream,
        t.objective,
        t.due_after,
        coalesce(t.listed_on <= d.day, false) and (t.delisted_on is null or t.delisted_on > d.day) as is_expected,
        c.space,
        coalesce(c.row_count, 0) as row_count,
        coalesce(c.row_count, 0) > 0 or coalesce(not isempty(c.covered), false) as is_held,
        coalesce(c.covered, '{}'::tstzmultirange) as covered,
        coalesce(c.covered + c.accepted, '{}'::tstzmultirange) as spoken_for,
        coalesce(c.missing_ids, '{}'::int8multirange) as missing_ids,
        c.first_time,
        c.last_time
    from due as d
    inner join targets as t on d.instrument = t.instrument
    left join coverage as c on d.instrument = c.instrument and d.day = c.day and t.bars_stream = c.stream
    where
        not (
            coalesce(c.is_dropped, false)
            and exists (select 1 from quality_days as p where p.instrument = d.instrument and p.day = d.day)
        )
),

measured as materialized (
    select
        l.*,
        ids.missing - coalesce(taken.accepted, 0) as missing_rows,
        extract(epoch from uncovered.seconds)::double precision as uncovered_seconds,
        all_streams.stored,
        waiting.quarantined,
        verdicts.good as good_bars,
        verdicts.judged as judged_bars,
        verdicts.unexplained,
        looks.freshness,
        live_gaps.open_gaps,
        broken.findings,
        broken.rules as broken_rules,
        broken.broken_rows,
        odd.anomalies,
        files.are_waiting,
        lag.is_behind
    from looked_at as l
    cross join
        lateral (
            select coalesce(sum(upper(m.ids) - lower(m.ids)), 0)::bigint as missing from unnest(l.missing_ids) as m (ids)
        ) as ids
    cross join
        lateral (
            -- Ids that somebody accepted as missing for ever.
            select sum(upper(a.ids) - lower(a.ids))::bigint as accepted
            from gaps as g
            cross join unnest(l.missing_ids * int8multirange(int8range(g.first_missing, g.last_missing, '[]'))) as a (ids)
            where
                g.instrument = l.instrument and g.stream = l.bars_stream and g.state = 'accepted' and g.first_missing is not null
                and g.from_time < l.day_end and g.to_time > l.day_start
        ) as taken
    cross join
        lateral (
            -- Where ids count what is missing between the first and the last, only the ends of the day are left to time.
            select coalesce(sum(upper(u.span) - lower(u.span)), interval '0') as seconds
            from
                unnest(
                    case
                        when l.space in ('trade_id', 'aggregate_id') and l.row_count > 0
                            then
                                tstzmultirange(
                                    tstzrange(l.day_start, least(greatest(l.first_time, l.day_start), l.day_end)),
                                    tstzrange(greatest(least(l.last_time, l.day_end), l.day_start), l.day_end)
                                )
                        else tstzmultirange(tstzrange(l.day_start, l.day_end))
                    end - l.spoken_for
                ) as u (span)
        ) as uncovered
    cross join
        lateral (
            select coalesce(sum(c.row_count), 0)::bigint as stored
            from coverage as c
            where c.instrument = l.instrument and c.day = l.day and c.stream in ('trades', 'agg_trades', 'quotes', 'depth')
        ) as all_streams
    cross join
        lateral (
            select count(*) as quarantined
            from quarantine as q
            inner join landing_files as f on q.file_id = f.file_id
            where
                q.state = 'quarantined' and q.day = l.day and f.stream in ('trades', 'agg_trades', 'quotes', 'depth')
                and coalesce(q.instrument, nullif(f.given_instrument, '')) = l.instrument
        ) as waiting
    cross join
        lateral (
            select
                count(*) filter (where b.status in ('equal', 'explained')) as good,
                count(*) filter (where b.status <> 'uncovered') as judged,
                count(*) filter (where b.status = 'unexplained') as unexplained
            from coverage as v
            inner join bar_conformance as b
                on
                    v.instrument = b.instrument and replace(v.stream, 'venue_bars_', '') = b.interval
                    and l.day_start <= b.bar_start and l.day_end > b.bar_start
            where v.instrument = l.instrument and v.day = l.day and v.stream like 'venue\_bars\_%%'
        ) as verdicts
    cross join
        lateral (
            -- The last look of a day is told before the next day's first: of days before, it stays as it was published.
            select coalesce(
                (
                    select sum(s.fresh_looks)::double precision / nullif(sum(s.looks), 0)::double precision
                    from stream_freshness as s
                    where s.instrument = l.instrument and s.looked_at >= l.day_start and s.looked_at < l.day_end
                ),
                (select p.freshness from quality_days as p where p.instrument = l.instrument and p.day = l.day)
            ) as freshness
        ) as looks
    cross join
        lateral (
            select count(*)::int as open_gaps
            from gaps as g
            where
                g.instrument = l.instrument and g.state in ('open', 'healing')
                and g.from_time < l.day_end and g.to_time > l.day_start
        ) as live_gaps
    cross join
        lateral (
            select
                count(*)::int as findings,
                array_agg(distinct f.rule order by f.rule) as rules,
                coalesce(
                    sum(
                        case
                            when
                                f.instrument is not null
                                and f.rule in ('duplicate', 'null', 'order', 'key', 'crossed_book', 'frozen_feed', 'range')
                                and f.relation in ('raw_trades', 'raw_agg_trades', 'raw_quotes', 'raw_depth')
                                then f.broken
                        end
                    ), 0
                )::bigint as broken_rows
            from findings as f
            where f.state = 'open' and f.severity = 'page' and f.day = l.day and (f.instrument is null or f.instrument = l.instrument)
        ) as broken
    cross join
        lateral (
            select count(*)::int as anomalies
            from anomalies as a
            where a.instrument = l.instrument and a.from_time >= l.day_start and a.from_time < l.day_end
        ) as odd
    cross join
        lateral (
            select count(*) > 0 as are_waiting
            from (
                select 1
                from landing_days as d
                inner join landing_files as f on d.file_id = f.file_id
                where d.day = l.day and d.is_pending and f.given_instrument in ('', l.instrument)
            ) as waiting_files
        ) as files
    cross join
        lateral (
            select count(*) > 0 as is_behind
            from (
                select 1
                from invalidation_days as n
                inner join
                    unnest(
                        array['bars_1m', 'bars_5m', 'bars_1h', 'bars_1d', 'bar_conformance', 'bar_conformance'],
                        array['raw_' || l.bars_stream, 'bars_1m', 'bars_5m', 'bars_1h', 'venue_bars', 'bars_1m']
                    ) as follows (consumer, relation)
                    on n.relation = follows.relation
                where
                    n.instrument = l.instrument and n.day = l.day
                    and n.last_id > coalesce((
                        select a.applied_through from invalidations_applied as a
                        where
                            a.consumer = follows.consumer and a.relation = n.relation and a.instrument = n.instrument and a.day = n.day
                    ), 0)
            ) as lagging
        ) as lag
),

shares as (
    select
        m.*,
        case
            when not m.is_held and m.is_expected then 0::double precision
            when m.is_held then
                (m.row_count::double precision / nullif(m.row_count + m.missing_rows, 0)::double precision)
                * (1 - m.uncovered_seconds / 86400)
        end as id_completeness,
        case when m.is_held then 1 - m.uncovered_seconds / 86400 end as time_completeness,
        case
            when m.stored + m.quarantined > 0
                then
                    greatest(m.stored - m.broken_rows, 0)::double precision
                    / (m.stored + m.quarantined)::double precision
        end as validity,
        case when m.judged_bars > 0 then m.good_bars::double precision / m.judged_bars::double precision end as conformance,
        %(now)s::timestamptz < m.day_end as is_running,
        %(now)s::timestamptz < m.day_end + m.due_after as may_come
    from measured as m
),

judged as (
    select
        s.*,
        coalesce(s.id_completeness, s.time_completeness) as completeness,
        array_remove(
            array[
                case when s.is_running then 'the day is not over' end,
                case when s.are_waiting then 'files of the day wait to be taken in' end,
                case when s.is_held and s.is_behind then 'bars or verdicts lag behind the trades' end,
                case when not s.is_held and s.is_expected and not s.is_running and s.may_come then 'nothing is held yet' end
            ], null
        ) as waits_for,
        array_remove(
            array[
                case
                    when not s.is_held and s.is_expected
                        then format('nothing is held of %%s, which are expected', replace(s.bars_stream, '_', ' '))
                end,
                case
                    when s.is_held and coalesce(s.id_completeness, s.time_completeness) < s.objective
                        then
                            format(
                                'completeness is %%s, promised is %%s: %%s',
                                to_char(trunc(coalesce(s.id_completeness, s.time_completeness)::numeric, 6), 'FM0.000000'),
                                trim_scale(s.objective::numeric),
                                concat_ws(
                                    ', ',
                                    case when s.missing_rows > 0 then format('%%s ids are missing', s.missing_rows) end,
                                    case
                                        when s.uncovered_seconds > 0
                                            then format('nobody saw %%s s of the day', trim_scale(round(s.uncovered_seconds::numeric, 3)))
                                    end
                                )
                            )
                end,
                case
                    when s.validity < s.objective
                        then
                            format(
                                'validity is %%s, promised is %%s: %%s rows wait in quarantine, %%s break a rule',
                                to_char(trunc(s.validity::numeric, 6), 'FM0.000000'), trim_scale(s.objective::numeric),
                                s.quarantined, s.broken_rows
                            )
                end,
                case
                    when s.conformance < s.objective
                        then
                            format(
                                'conformance is %%s, promised is %%s: %%s of %%s bars differ from the venue''s without an explanation',
                                to_char(trunc(s.conformance::numeric, 6), 'FM0.000000'), trim_scale(s.objective::numeric),
                                s.unexplained, s.judged_bars
                            )
                end,
                case
                    when s.freshness < s.objective
                        then
                            format(
                                'freshness is %%s, promised is %%s: it was late when it was looked at',
                                to_char(trunc(s.freshness::numeric, 6), 'FM0.000000'), trim_scale(s.objective::numeric)
                            )
                end,
                case when s.open_gaps > 0 then format('gaps are open: %%s', s.open_gaps) end,
                case
                    when s.findings > 0
                        then format('rules are broken: %%s', array_to_string(s.broken_rules, ', '))
                end
            ], null
        ) as faults
    from shares as s
),

-- A day of which nothing is expected and nothing is held has no status, but for what is under way.
kept as (
    insert into quality_days (
        instrument, day, status, row_count, completeness, validity, conformance, freshness, open_gaps, findings, anomalies, reasons,
        computed_at
    )
    select
        j.instrument,
        j.day,
        case
            when cardinality(j.waits_for) > 0 then 'pending'
            when not j.is_held and j.is_expected then 'missing'
            when cardinality(j.faults) > 0 then 'degraded'
            else 'available'
        end,
        j.row_count,
        j.completeness,
        j.validity,
        j.conformance,
        j.freshness,
        j.open_gaps,
        j.findings,
        j.anomalies,
        case when cardinality(j.waits_for) > 0 then j.waits_for else j.faults end,
        now()
    from judged as j
    where j.is_held or j.is_expected
    order by j.instrument, j.day
    on conflict (instrument, day) do update
        set
            row_count = excluded.row_count, completeness = excluded.completeness, validity = excluded.validity,
            conformance = excluded.conformance, freshness = excluded.freshness,
            open_gaps = excluded.open_gaps, findings = excluded.findings, anomalies = excluded.anomalies,
            computed_at = excluded.computed_at, status = excluded.status, reasons = excluded.reasons
    returning quality_days.instrument, quality_days.day, quality_days.status
),

unheld as (
    delete from quality_days as q
    using judged as j
    where q.instrument = j.instrument and q.day = j.day and not j.is_held and not j.is_expected
    returning q.instrument
)

select
    k.status,
    count(*) as days,
    count(*) filter (where p.status is distinct from k.status) as changed
from kept as k
left join quality_days as p on k.instrument = p.instrument and k.day = p.day
cross join (select count(*) from unheld) as done
group by k.status;
