/** Words for the development data; faker has no Brazilian cities or causes that read as real ones. */
import type { Faker } from '@faker-js/faker';

const CAUSAS = [
  'Infância',
  'Animais',
  'Florestas',
  'Idosos',
  'Saúde',
  'Educação',
  'Rios',
  'Moradia',
  'Cultura',
  'Esporte',
];
const FORMAS = ['Instituto', 'Associação', 'Fundação', 'Casa', 'Rede', 'Projeto', 'Ação', 'Mutirão'];

const OBJETIVOS = [
  'Cestas básicas para famílias de',
  'Reforma da escola municipal de',
  'Cirurgias no hospital de',
  'Agasalhos para o inverno em',
  'Livros para a biblioteca de',
  'Água limpa em',
  'Abrigo de animais em',
  'Horta comunitária de',
  'Natal solidário em',
  'Reconstrução depois das chuvas em',
  'Cadeiras de rodas para atletas de',
  'Instrumentos para a orquestra jovem de',
];

const FRASES = [
  'Cada doação é prestada em contas na página da organizadora.',
  'O trabalho é feito por voluntários da própria comunidade.',
  'Com a meta alcançada, as entregas começam na semana seguinte.',
  'A prefeitura cedeu o espaço; falta o material.',
  'No ano passado, a mesma ação atendeu mais de trezentas famílias.',
  'Quem não pode doar ajuda muito divulgando a campanha.',
  'As fotos e os recibos são publicados todo mês.',
  'Nenhum valor é usado para pagar a administração.',
];

const CIDADES = (
  'Rio Branco/AC Maceió/AL Arapiraca/AL Macapá/AP Manaus/AM Parintins/AM Salvador/BA Feira de Santana/BA Ilhéus/BA ' +
  'Fortaleza/CE Juazeiro do Norte/CE Sobral/CE Brasília/DF Vitória/ES Vila Velha/ES Goiânia/GO Anápolis/GO São Luís/MA ' +
  'Imperatriz/MA Cuiabá/MT Rondonópolis/MT Campo Grande/MS Dourados/MS Belo Horizonte/MG Uberlândia/MG Juiz de Fora/MG ' +
  'Ouro Preto/MG Belém/PA Santarém/PA João Pessoa/PB Campina Grande/PB Curitiba/PR Londrina/PR Maringá/PR Recife/PE ' +
  'Olinda/PE Caruaru/PE Teresina/PI Parnaíba/PI Rio de Janeiro/RJ Niterói/RJ Petrópolis/RJ Natal/RN Mossoró/RN ' +
  'Porto Alegre/RS Caxias do Sul/RS Pelotas/RS Porto Velho/RO Boa Vista/RR Florianópolis/SC Joinville/SC Blumenau/SC ' +
  'São Paulo/SP Campinas/SP Santos/SP Ribeirão Preto/SP Sorocaba/SP Aracaju/SE Palmas/TO Araguaína/TO'
)
  .split(/(?<=\/[A-Z]{2}) /)
  .map((text) => text.split('/') as [cidade: string, uf: string]);

export function cidadeComUf(faker: Faker): [cidade: string, uf: string] {
  return faker.helpers.arrayElement(CIDADES);
}

export function nomeDeOrganizadora(faker: Faker): string {
  const { arrayElement } = faker.helpers;
  return `${arrayElement(FORMAS)} ${faker.person.lastName()} – ${arrayElement(CAUSAS)}`;
}

export function tituloDeCampanha(faker: Faker): string {
  return `${faker.helpers.arrayElement(OBJETIVOS)} ${cidadeComUf(faker)[0]}`;
}

export function descricao(faker: Faker, sentences: number): string {
  return faker.helpers.arrayElements(FRASES, sentences).join(' ');
}
