-- Where the rows of one file's day wait to be judged against what is stored: the columns of the table, less the batch's stamps.
create temporary table if not exists incoming (line bigint not null, like {table}) on commit drop;
alter table incoming drop column if exists known_at, drop column if exists batch_id;
truncate incoming;
drop table if exists judged;
