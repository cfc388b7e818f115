-- The instruments of a day of which one batch alone brought all trades that are stored, and nothing was ever replaced: what the books
-- have of them, where their tape is whole, and the file. A file that was read a second time may have been read in another way.
select
    c.instrument,
    c.row_count,
    c.first_sequence,
    c.last_sequence,
    c.first_time,
    c.last_time,
    (c.covered + c.accepted)::text as whole,
    f.sha256,
    f.format,
    f.given_instrument,
    f.given_day,
    f.stream
from coverage as c
-- Whatever changes trades logs it, with its batch.
cross join
    lateral (
        select l.batch_id
        from invalidation_log as l
        where l.relation = 'raw_trades' and l.day = c.day and l.instrument = c.instrument and l.reason <> 'coverage'
        order by l.invalidation_id
        limit 1
    ) as brought
inner join ingest_batches as b on brought.batch_id = b.batch_id and c.day = b.day and c.stream = b.stream
inner join landing_files as f on b.file_id = f.file_id and c.space = f.space
inner join landing_days as d on f.file_id = d.file_id and c.day = d.day
where
    c.stream = 'trades' and c.day = %(day)s and c.instrument = any(%(instruments)s)
    and c.row_count between %(least)s and %(most)s
    and not d.is_pending
    and not exists (
        select 1 from invalidation_log as o
        where
            o.relation = 'raw_trades' and o.day = c.day and o.instrument = c.instrument and o.reason <> 'coverage'
            and o.batch_id is distinct from brought.batch_id
    )
    and not exists (
        select 1 from ingest_batches as o
        where o.day = c.day and o.stream = c.stream and o.file_id = b.file_id and o.batch_id <> b.batch_id
    )
    and not exists (
        select 1 from trade_revisions as r
        where r.instrument = c.instrument and r.event_time >= %(day)s and r.event_time < %(day)s + 1
    );
