create table itens (id int primary key, nome text not null);
insert into itens values (1, 'um'), (2, 'dois');
