create table campanhas (id int primary key, nome text not null);
create table doacoes (id bigserial primary key, campanha int not null, valor numeric not null, criada timestamptz not null default now());
insert into campanhas select n, 'campanha ' || n from generate_series(1, 500) n;
insert into doacoes (campanha, valor) select 1 + n % 500, n % 100 from generate_series(1, 500000) n;
create index on doacoes (campanha);
analyze campanhas, doacoes;
