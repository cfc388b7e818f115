-- What a batch is, and whether it took another one back or was taken back itself.
select
    b.day,
    b.stream,
    b.file_id,
    b.time_unit,
    b.undoes_batch_id,
    u.batch_id as undone_by
from ingest_batches as b
left join ingest_batches as u on b.batch_id = u.undoes_batch_id
where b.batch_id = %(batch_id)s;
