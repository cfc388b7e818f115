-- Since when the files of a proof are not kept any more.
select min(r.at) as expired_at
from archive_proofs as p
inner join retention_log as r on p.relation = r.relation and p.partition_start = r.partition_start and p.proof_id = r.proof_id
where p.proof_id = %(proof_id)s and r.action = 'expire' and not r.is_dry_run;
