-- Rows of a batch that another one has replaced or ended since: they are that one's.
select count(*) as kept
from {revisions} as r
where r.batch_id = %(undone)s and r.ended_by_batch_id <> %(batch_id)s;
