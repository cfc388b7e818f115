-- The batches of a file, known by its sum, that somebody took back on some days, each with its day and the batch that did it.
select
    b.batch_id,
    b.day,
    u.batch_id as undone_by
from landing_files as f
inner join ingest_batches as b on f.file_id = b.file_id
inner join ingest_batches as u on b.batch_id = u.undoes_batch_id
where f.sha256 = %(sha256)s and f.format = %(format)s and b.day = any(%(days)s)
order by b.batch_id;
