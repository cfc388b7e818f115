-- The engine of this database, and the migrations that were applied to it.
select
    (select engine from schema_engine) as engine,
    array(select migration_id from schema_migrations order by migration_id) as applied;
