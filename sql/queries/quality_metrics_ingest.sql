-- What was taken in, ever and lately, by stream. Taking back is no taking in.
select
    b.stream,
    count(*) as batches,
    sum(b.rows_stored) as stored,
    sum(b.rows_revised) as revised,
    sum(b.duplicates) as duplicates,
    sum(b.quarantined) as quarantined,
    sum(b.seconds) as seconds,
    extract(epoch from max(b.known_at)) as last_known_at,
    coalesce(sum(b.rows_stored) filter (where b.known_at > statement_timestamp() - interval '5 minutes'), 0) as stored_5m,
    coalesce(sum(b.rows_stored) filter (where b.known_at > statement_timestamp() - interval '1 hour'), 0) as stored_1h,
    coalesce(sum(b.seconds) filter (where b.known_at > statement_timestamp() - interval '1 hour'), 0) as seconds_1h
from ingest_batches as b
where b.undoes_batch_id is null
group by b.stream
order by b.stream;
