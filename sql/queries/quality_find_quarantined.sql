-- Rows of a day that wait in quarantine, per stream and instrument, and how many rows of that stream came in.
select
    case f.stream when 'venue_bars' then 'venue_bars' else 'raw_' || f.stream end as relation,
    q.instrument,
    min(q.event_time) as from_time,
    max(q.event_time) as last_time,
    count(*) as broken,
    (
        select coalesce(sum(b.rows_read), 0)
        from ingest_batches as b
        where b.day = %(day)s and b.stream = f.stream
    )::bigint as examined,
    (array_agg(distinct format('%%s: %%s', f.name, q.reason)))[1:5] as examples
from quarantine as q
inner join landing_files as f on q.file_id = f.file_id
where
    q.day = %(day)s and q.state = 'quarantined'
    and (%(instruments)s::text[] is null or q.instrument = any(%(instruments)s) or q.instrument is null)
group by f.stream, q.instrument
order by relation, q.instrument;
